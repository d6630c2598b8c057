"""What a file or a config says of a grown model, parsed without a model."""

from collections.abc import Iterable
from typing import Any

from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import show
from keras_grow.growth.config import MAX_FACTOR
from keras_grow.growth.config import GrowthConfig

# Counts beyond these are no model's; they bound the work of a parser.
MAX_GROWTHS = 1 << 12
MAX_RANK = 1 << 16


def parse_growths(values: Any) -> tuple[GrowthConfig, ...]:
    """Make the growths of a model from what a file or a config says of them.

    Args:
        values: a list of what `GrowthConfig.to_dict` returned, oldest first.

    Returns:
        The growths.

    Raises:
        ValueError: if there are none, one is malformed, or no model can have
            them together.
    """
    growths: list[GrowthConfig] = []
    for number, entry in enumerate(
        check_list(values, "growths", least=1, most=MAX_GROWTHS)
    ):
        try:
            growths.append(GrowthConfig.from_dict(entry))
        except ValueError as error:
            raise ValueError(f"{error} In `growths[{number}]`.") from error
    check_total_width(growths)
    _check_strategies(growths)
    return tuple(growths)


def check_total_width(growths: Iterable[GrowthConfig]) -> None:
    """Refuse growths that together make a block too wide to be meant.

    All the growths of a block may make it up to 64 times as wide as the base
    has it, so that no file makes a model allocate more than that.

    Args:
        growths: the growths of a model.

    Raises:
        ValueError: if a block would be wider.
    """
    widths: dict[int, int] = {}
    for growth in growths:
        for index in growth.layers:
            widths[index] = widths.get(index, 1) + growth.factor - 1
            if widths[index] > MAX_FACTOR:
                raise ValueError(
                    "Expected growths that make a block at most "
                    f"{MAX_FACTOR} times as wide as the base has it. "
                    f"Received: growths of block {index} that make it more."
                )


def _check_strategies(growths: Iterable[GrowthConfig]) -> None:
    """Refuse what `check_mlp` refuses: a block grown whole and once more."""
    earlier: dict[int, str] = {}
    for growth in growths:
        for index in growth.layers:
            strategies = {growth.strategy, earlier.get(index, "g_freeze")}
            if index in earlier and "g_train" in strategies:
                raise ValueError(
                    'Expected `strategy="g_train"` as the only growth of a '
                    "block, as it trains the up-projection whole. Received: "
                    f"several growths of block {index}"
                )
            earlier[index] = growth.strategy


def parse_lora(values: Any) -> dict[str, dict[str, float]]:
    """Rank and alpha of layers under LoRA, from what was stored of them.

    Args:
        values: what `lora_ranks` returned.

    Returns:
        `{"rank": ..., "alpha": ...}` by the path of the layer.

    Raises:
        ValueError: if the values are of another form.
    """
    if not isinstance(values, dict):
        raise ValueError(
            "Expected `lora` to be an object: rank and alpha by the path of "
            f"a layer. Received: lora={show(values)}"
        )
    ranks = {}
    for path, entry in values.items():
        name = f"lora[{show(path)}]"
        check_fields(entry, f"`{name}`", ("rank", "alpha"))
        check_float(entry["alpha"], f"{name}.alpha")
        check_int(entry["rank"], f"{name}.rank", 1, MAX_RANK)
        ranks[path] = dict(entry)
    return ranks

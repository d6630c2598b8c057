"""What a file or a config says about a grown model, without a model."""

from collections.abc import Iterable
from typing import Any

from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import show
from keras_grow.growth.config import MAX_FACTOR
from keras_grow.growth.config import GrowthConfig

# No model has more than this; it bounds the work of a parser.
MAX_GROWTHS = 1 << 12
MAX_RANK = 1 << 16


def parse_growths(values: Any) -> tuple[GrowthConfig, ...]:
    """Make the growths of a model from what a file or a config says.

    That is a list of what `GrowthConfig.to_dict` returned, oldest first.
    """
    growths: list[GrowthConfig] = []
    for number, entry in enumerate(
        check_list(values, "growths", least=1, most=MAX_GROWTHS)
    ):
        if isinstance(entry, dict) and "name" not in entry:
            # Version 1 had no names: each was made on all those before.
            under = [[growth.name, 1.0] for growth in growths]
            name = f"growth_{number + 1}"
            entry = {**entry, "name": name, "beneath": under}
        try:
            growths.append(GrowthConfig.from_dict(entry))
        except ValueError as error:
            raise ValueError(f"{error} In `growths[{number}]`.") from error
    names = [growth.name for growth in growths]
    if len(set(names)) < len(names):
        raise ValueError(
            "Expected `growths` to have different names. "
            f"Received: names={show(names)}"
        )
    check_total_width(growths)
    check_strategies(growths)
    return tuple(growths)


def check_total_width(growths: Iterable[GrowthConfig]) -> None:
    """Refuse growths that together make a block implausibly wide.

    All the growths of a block may together make it up to 64 times as wide as in
    the base, so that no file makes a model allocate more than that.
    """
    widths: dict[int, int] = {}
    for growth in growths:
        for index in growth.layers:
            widths[index] = widths.get(index, 1) + growth.factor - 1
            if widths[index] > MAX_FACTOR:
                raise ValueError(
                    "Expected growths that make a block at most "
                    f"{MAX_FACTOR} times as wide as the base has it. "
                    f"Received: growths of block {index} that make it wider."
                )


def check_strategies(growths: Iterable[GrowthConfig]) -> None:
    """Refuse G-Train above or below another growth of the same block.

    Growths that were each trained on the bare base lie side by side, whatever
    their strategies.
    """
    by_name: dict[str, GrowthConfig] = {}
    for growth in growths:
        for name, _ in growth.beneath:
            under = by_name.get(name)
            if under is None or not set(under.layers) & set(growth.layers):
                continue
            if "g_train" in (under.strategy, growth.strategy):
                raise ValueError(
                    'Expected no `strategy="g_train"` of growths that lie on '
                    "top of each other: it trains the up-projection "
                    f"whole. Received: {growth.name!r} on {name!r}"
                )
        by_name[growth.name] = growth


def missing_beneath(growths: Iterable[GrowthConfig]) -> list[str]:
    """Names of growths that are missing before one trained on top of them.

    A model has none; a file that holds one growth of several may.
    """
    seen: set[str] = set()
    missing: list[str] = []
    for growth in growths:
        missing += [name for name, _ in growth.beneath if name not in seen]
        seen.add(growth.name)
    return list(dict.fromkeys(missing))


def parse_lora(values: Any) -> dict[str, dict[str, float]]:
    """Rank and alpha of layers under LoRA, from what was stored of them.

    They are `{"rank": ..., "alpha": ...}` by the path of the layer, as
    `lora_ranks` returns them.
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

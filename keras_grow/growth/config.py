"""`GrowthConfig`: everything that defines one growth of a model."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

STRATEGIES = ("g_freeze", "g_train")
INITS = ("copy", "zero_down", "random_zero_down", "zeros")
SHARES = ("equal", "unequal")


@dataclass(frozen=True)
class GrowthConfig:
    """The description of one growth: what a file or a report carries.

    Attributes:
        factor: width of a grown MLP over the base's, an int of 2 or more.
        layers: indices of the grown blocks, ascending.
        strategy: `"g_freeze"` or `"g_train"`.
        init: `"copy"`, `"zero_down"`, `"random_zero_down"` or `"zeros"`.
        shares: `"equal"`, or `"unequal"` with `"g_train"`.
        slice_dtype: dtype of the new variables.
        seed: seed of `"random_zero_down"`.

    Example:

    ```python
    import keras_grow

    config = keras_grow.GrowthConfig(factor=2, layers=(0, 1))
    assert keras_grow.GrowthConfig.from_json(config.to_json()) == config
    ```
    """

    factor: int
    layers: tuple[int, ...]
    strategy: str = "g_freeze"
    init: str = "copy"
    shares: str = "equal"
    slice_dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a config that describes no growth."""
        if not _is_int(self.factor) or self.factor < 2:
            raise ValueError(
                "Expected `factor` to be an int of 2 or more: the width of a "
                "grown MLP over that of the base. "
                f"Received: factor={self.factor!r}"
            )
        _check_choice("strategy", self.strategy, STRATEGIES)
        _check_choice("init", self.init, INITS)
        _check_choice("shares", self.shares, SHARES)
        if self.strategy == "g_train" and self.init != "copy":
            raise ValueError(
                'Expected `init="copy"` with `strategy="g_train"`: its '
                "down-projection is frozen, so a zero share would never "
                f"receive a gradient. Received: init={self.init!r}"
            )
        if self.strategy == "g_freeze" and self.shares != "equal":
            raise ValueError(
                'Expected `shares="equal"` with `strategy="g_freeze"`, whose '
                "new down-projection is trained freely. "
                f"Received: shares={self.shares!r}"
            )
        if not _is_int(self.seed):
            raise ValueError(
                f"Expected `seed` to be an int. Received: seed={self.seed!r}"
            )
        for name in ("factor", "seed"):
            # JSON knows no integers of NumPy.
            object.__setattr__(self, name, int(getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """The config as plain values."""
        return {**dataclasses.asdict(self), "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GrowthConfig":
        """Make a config from what `to_dict` returned.

        Raises:
            ValueError: if a field is unknown, missing or out of range.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        missing = sorted({"factor", "layers"} - set(values))
        if unknown or missing:
            raise ValueError(
                f"Expected the fields {sorted(known)}. Received: unknown "
                f"fields {unknown}, missing fields {missing}"
            )
        layers = resolve_layers(values["layers"], 1 << 31)
        return cls(**{**values, "layers": layers})

    def to_json(self) -> str:
        """The config as a JSON object."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "GrowthConfig":
        """Make a config from what `to_json` returned."""
        return cls.from_dict(json.loads(text))


def resolve_layers(layers: Any, num_blocks: int) -> tuple[int, ...]:
    """Turn every accepted form of `layers` into ascending block indices.

    Args:
        layers: `None` (all blocks), an int `n` (the last `n`), or an iterable
            of block indices, such as a list or `LayerScores`.
        num_blocks: number of blocks of the model.

    Returns:
        Tuple of block indices, ascending.

    Raises:
        ValueError: if there are none, one is repeated or out of range.
        TypeError: if `layers` is of another type.
    """
    if layers is None:
        return tuple(range(num_blocks))
    if _is_int(layers):
        if not 1 <= layers <= num_blocks:
            raise ValueError(
                "Expected `layers` as an int to be a number of blocks from 1 "
                f"to {num_blocks}. Received: layers={layers}"
            )
        return tuple(range(num_blocks - layers, num_blocks))
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise TypeError(
            "Expected `layers` to be None, an int, a sequence of block "
            f"indices or layer scores. Received: layers={layers!r}"
        )
    indices = list(layers)
    if not indices:
        raise ValueError(
            "Expected at least one block to grow. Received: layers=[]. Use "
            "`layers=None` for all blocks."
        )
    bad = [i for i in indices if not _is_int(i) or not 0 <= i < num_blocks]
    if bad:
        raise ValueError(
            f"Expected block indices from 0 to {num_blocks - 1}. "
            f"Received: layers={indices}, of which {bad} are not"
        )
    if len(set(indices)) < len(indices):
        raise ValueError(
            "Expected every block index once. "
            f"Received: layers={sorted(indices)}"
        )
    return tuple(sorted(int(i) for i in indices))


def _is_int(value: Any) -> bool:
    """Whether `value` is an integer, NumPy's included, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"Expected `{name}` to be one of {list(choices)}. "
            f"Received: {name}={value!r}"
        )

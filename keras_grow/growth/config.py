"""`GrowthConfig`: everything that defines one growth of a model."""

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any
from typing import Literal
from typing import get_args

from keras_grow.files.checked_json import check_choice
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import is_int
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import show

Strategy = Literal["g_freeze", "g_freeze_up", "g_train"]
Init = Literal["copy", "zero_down", "random_zero_down", "zeros"]
Shares = Literal["equal", "unequal"]
SliceDtype = Literal["float32", "bfloat16", "float16"]
# No file can ask for more than this many times the memory of the base's MLPs.
MAX_FACTOR = 64
MAX_BLOCKS = 1 << 16
MAX_SCALE = 1000
# Names are parts of the paths of variables, where PyTorch takes no dot.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class GrowthConfig:
    """The description of one growth: what a file or a report carries.

    Attributes:
        factor: width of a grown MLP over the base's, an int from 2 to 64.
        layers: indices of the grown blocks, each once. They are kept in
            ascending order.
        strategy: `"g_freeze"`, `"g_freeze_up"` or `"g_train"`.
        init: `"copy"`, `"zero_down"`, `"random_zero_down"` or `"zeros"`.
        shares: `"equal"`, or `"unequal"` with `"g_train"`.
        slice_dtype: dtype of the new variables, `"float32"`, `"bfloat16"` or
            `"float16"`.
        seed: seed of `"random_zero_down"`, an int of 0 or more.
        name: what the growth is called, up to 64 letters, digits, `_` and
            `-`.
        beneath: the growths that were active when this one was made, each a
            pair of name and scale, oldest first. It is trained on what they
            and the base compute together: `fit` refuses any other set.

    Raises:
        ValueError: if a field has the wrong type or is out of range. Whether a
            model has these blocks is checked when it grows.

    Example:

    ```python
    import keras_grow

    config = keras_grow.GrowthConfig(factor=2, layers=(0, 1))
    assert keras_grow.GrowthConfig.from_json(config.to_json()) == config
    ```
    """

    factor: int
    layers: tuple[int, ...]
    strategy: Strategy = "g_freeze"
    init: Init = "copy"
    shares: Shares = "equal"
    slice_dtype: SliceDtype = "float32"
    seed: int = 0
    name: str = "growth_1"
    beneath: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a config that describes no growth."""
        fields = {
            # JSON knows no integers of NumPy.
            "factor": check_int(self.factor, "factor", 2, MAX_FACTOR),
            "layers": _check_layers(self.layers),
            "strategy": check_choice(
                self.strategy, "strategy", get_args(Strategy)
            ),
            "init": check_choice(self.init, "init", get_args(Init)),
            "shares": check_choice(self.shares, "shares", get_args(Shares)),
            "slice_dtype": check_choice(
                self.slice_dtype, "slice_dtype", get_args(SliceDtype)
            ),
            "seed": check_int(self.seed, "seed", 0, (1 << 64) - 1),
            "name": check_name(self.name),
            "beneath": _check_beneath(self.beneath, self.name),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if self.strategy != "g_freeze" and self.init != "copy":
            raise ValueError(
                f'Expected `init="copy"` with `strategy="{self.strategy}"`: '
                "its down-projection is frozen, so a zero share would never "
                f"receive a gradient. Received: init={self.init!r}"
            )
        if self.strategy != "g_train" and self.shares != "equal":
            raise ValueError(
                f'Expected `shares="equal"` with `strategy="{self.strategy}"`: '
                "only the copies of G-Train all train alike. "
                f"Received: shares={self.shares!r}"
            )

    def for_compute_dtype(self, dtype: str) -> "GrowthConfig":
        """The growth of a model that is loaded in another dtype than saved."""
        if self.slice_dtype in ("float32", dtype):
            return self
        return dataclasses.replace(self, slice_dtype="float32")

    def to_dict(self) -> dict[str, Any]:
        """The config as plain values."""
        return {
            **dataclasses.asdict(self),
            "layers": list(self.layers),
            "beneath": [list(pair) for pair in self.beneath],
        }

    @classmethod
    def from_dict(cls, values: object) -> "GrowthConfig":
        """Make a config from what `to_dict` returned.

        Args:
            values: the fields by name. `layers` must be a list of block
                indices: forms that only a model can resolve, such as `None`,
                are refused.

        Raises:
            ValueError: if a field is unknown, missing or out of range.
        """
        fields = dataclasses.fields(cls)
        required = [f.name for f in fields if f.default is dataclasses.MISSING]
        known = [field.name for field in fields]
        return cls(**check_fields(values, "a growth", required, known))

    def to_json(self) -> str:
        """The config as a JSON object."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "GrowthConfig":
        """Make a config from what `to_json` returned.

        Raises:
            ValueError: if the text is not JSON, or as for `from_dict`.
        """
        return cls.from_dict(parse_json(text, "a growth config"))


def resolve_layers(layers: Any, num_blocks: int) -> tuple[int, ...]:
    """Turn any accepted form of `layers` into ascending block indices.

    None is all blocks, an int `n` the last `n`; else an iterable of indices,
    such as a list or `LayerScores`.
    """
    if layers is None:
        return tuple(range(num_blocks))
    if is_int(layers):
        if not 1 <= layers <= num_blocks:
            raise ValueError(
                "Expected `layers` as an int to be a number of blocks from 1 "
                f"to {num_blocks}. Received: layers={layers}"
            )
        return tuple(range(num_blocks - layers, num_blocks))
    if isinstance(layers, (str, bytes)) or not isinstance(layers, Iterable):
        raise TypeError(
            "Expected `layers` to be None, an int, a sequence of block "
            f"indices or layer scores. Received: layers={show(layers)}"
        )
    indices = list(layers)
    if not indices:
        raise ValueError(
            "Expected at least one block to grow. Received: layers=[]. Use "
            "`layers=None` for all blocks."
        )
    return check_indices(indices, num_blocks, "layers")


def check_indices(
    indices: Iterable[Any], num_blocks: int, name: str
) -> tuple[int, ...]:
    """Block indices in ascending order, each that of a block, each once."""
    indices = list(indices)
    bad = [i for i in indices if not is_int(i) or not 0 <= i < num_blocks]
    if bad:
        raise ValueError(
            f"Expected block indices from 0 to {num_blocks - 1}. "
            f"Received: {name}={show(indices)}, of which {show(bad)} are not"
        )
    if len(set(indices)) < len(indices):
        raise ValueError(
            "Expected every block index once. "
            f"Received: {name}={show(sorted(indices))}"
        )
    return tuple(sorted(int(i) for i in indices))


def check_name(name: Any) -> str:
    """Refuse what cannot be the name of a growth."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ValueError(
        "Expected `name` to be 1 to 64 letters, digits, `_` and `-`, "
        f"beginning with a letter or a digit. Received: name={show(name)}"
    )


def check_scale(value: Any, name: str = "scale") -> float:
    """Refuse what cannot be the scale of a growth."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    # An int of hundreds of digits does not fit a float.
    if number and abs(value) <= MAX_SCALE and math.isfinite(value):
        return float(value)
    raise ValueError(
        f"Expected `{name}` to be a number from -{MAX_SCALE} to {MAX_SCALE}: "
        "0 is the base, 1 the growth as it was trained. "
        f"Received: {name}={show(value)}"
    )


def check_scales(scales: Any, names: Sequence[str]) -> dict[str, float]:
    """Scales by the names of growths, each a number."""
    if not isinstance(scales, dict) or set(scales) - set(names):
        raise ValueError(
            f"Expected scales by the names of growths, among {list(names)}. "
            f"Received: scales={show(scales)}"
        )
    return {
        name: check_scale(value, f"scale of {name}")
        for name, value in scales.items()
    }


def _check_beneath(pairs: Any, own_name: str) -> tuple[tuple[str, float], ...]:
    """Names and scales of the growths under another."""
    message = (
        "Expected `beneath` to be pairs of the name and the scale of another "
        f"growth, each name once. Received: beneath={show(pairs)}"
    )
    if not isinstance(pairs, (list, tuple)) or len(pairs) > MAX_BLOCKS:
        raise ValueError(message)
    if not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        raise ValueError(message)
    checked = tuple((check_name(n), check_scale(s)) for n, s in pairs)
    names = {own_name, *(name for name, _ in checked)}
    if len(names) <= len(checked):
        raise ValueError(message)
    return checked


def _check_layers(layers: Any) -> tuple[int, ...]:
    """Block indices of a config, in ascending order."""
    valid = (
        isinstance(layers, Sequence)
        and not isinstance(layers, (str, bytes))
        and 0 < len(layers) <= MAX_BLOCKS
        and all(is_int(i) and 0 <= i < MAX_BLOCKS for i in layers)
    )
    if not valid:
        raise ValueError(
            "Expected `layers` to be a tuple of block indices, ints of 0 or "
            f"more. Received: layers={show(layers)}. `grow_model` takes other "
            "forms, such as a number of last blocks."
        )
    if len(set(layers)) < len(layers):
        raise ValueError(
            "Expected `layers` with every block index once. "
            f"Received: layers={show(layers)}"
        )
    return tuple(sorted(int(i) for i in layers))

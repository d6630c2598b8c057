"""The methods that a comparison compares, each a small configuration."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_grow.growth import surgery
from keras_grow.growth.ablations import expand_blocks
from keras_grow.growth.ablations import grow_attention
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.grow import grow_model


@dataclass(frozen=True)
class Method:
    """One way of teaching a model a task, with its settings.

    Attributes:
        name: what results call it.
        kind: key of `KINDS`, how the model is prepared.
        learning_rate: of Adam, after the warm-up.
        warmup: updates over which the rate rises linearly from zero.
        layers: grown blocks, as in `grow_model`: a number of last blocks,
            indices, or None for all. For `block_expansion`, how many blocks
            to insert, or after which.
        factor: width factor of grown MLPs.
        rank: rank of LoRA.
        anchor: weight of the divergence from the base on the plan's anchor
            text, see `keras_grow.training.Anchor`. 0 for none.

    Example:

    ```python
    from keras_grow.comparison import Method

    Method("g_freeze_10", "g_freeze", learning_rate=2e-4, layers=10)
    ```
    """

    name: str
    kind: str
    learning_rate: float
    warmup: int = 0
    layers: int | tuple[int, ...] | None = None
    factor: int = 2
    rank: int = 8
    anchor: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a method that cannot run."""
        if self.kind not in KINDS:
            raise ValueError(
                f"Expected `kind` to be one of {sorted(KINDS)}. "
                f"Received: kind={self.kind!r}"
            )
        if not self.learning_rate > 0:
            raise ValueError(
                "Expected `learning_rate` to be positive. "
                f"Received: learning_rate={self.learning_rate!r}"
            )

    def prepare(self, lm: keras.Model) -> keras.Model:
        """Change `lm` in place, so that what the method trains is trainable.

        Args:
            lm: a base model, a KerasHub `CausalLM`.

        Returns:
            The model to train: `lm`, or a new one that took its weights.
        """
        return KINDS[self.kind](lm, self)

    def to_dict(self) -> dict[str, Any]:
        """The method as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Method":
        """Make a method from what `to_dict` returned."""
        layers = values.get("layers")
        if isinstance(layers, list):
            values = {**values, "layers": tuple(layers)}
        return cls(**values)

    @classmethod
    def parse(cls, text: str) -> "Method":
        """Make a method from a command's words.

        Args:
            text: `KIND`, or `KIND:setting=value,...`, such as
                `g_freeze:learning_rate=2e-4,layers=10`. Blocks are written
                `layers=0+4+8`; `name=...` names it otherwise.

        Returns:
            The method.

        Raises:
            ValueError: if a kind or a setting is unknown or malformed.
        """
        kind, _, rest = text.partition(":")
        settings: dict[str, Any] = {"learning_rate": DEFAULT_RATES.get(kind)}
        for part in filter(None, rest.split(",")):
            key, _, value = part.partition("=")
            if key not in _PARSERS or not value:
                raise ValueError(
                    "Expected settings as key=value with keys "
                    f"{sorted(_PARSERS)}. Received: {part!r} in {text!r}"
                )
            settings[key] = _PARSERS[key](value)
        if settings["learning_rate"] is None:
            raise ValueError(
                f"Expected a method out of {sorted(KINDS)}. Received: {text!r}"
            )
        return cls(settings.pop("name", text), kind, **settings)


def _sft(lm: keras.Model, method: Method) -> keras.Model:
    return lm


def _sft_up(lm: keras.Model, method: Method) -> keras.Model:
    backbone = backbone_of(lm)
    family = family_of(backbone)
    ups = [
        layer
        for block in family.blocks_of(backbone)
        for layer in family.mlp_of(block)[:-1]
    ]
    surgery.train_only(lm, ups)
    return lm


def _growth(
    strategy: str = "g_freeze",
    init: str = "copy",
    shares: str = "equal",
    train_all: bool = False,
    lora: bool = False,
) -> Callable[[keras.Model, Method], keras.Model]:
    def prepare(lm: keras.Model, method: Method) -> keras.Model:
        grow_model(
            lm, method.factor, method.layers, strategy, init, shares=shares
        )
        if lora:
            lm.backbone.enable_lora(method.rank)
        if train_all:
            surgery.train_all(lm)
        return lm

    return prepare


def _lora(lm: keras.Model, method: Method) -> keras.Model:
    lm.backbone.enable_lora(method.rank)
    return lm


def _attention(
    grows: str, mlp: bool = False
) -> Callable[[keras.Model, Method], keras.Model]:
    def prepare(lm: keras.Model, method: Method) -> keras.Model:
        if mlp:
            grow_model(lm, method.factor, method.layers)
        return grow_attention(lm, grows, method.factor, method.layers)

    return prepare


def _block_expansion(lm: keras.Model, method: Method) -> keras.Model:
    if isinstance(method.layers, tuple):
        return expand_blocks(lm, after=method.layers)
    return expand_blocks(lm, method.layers or NEW_BLOCKS)


KINDS: dict[str, Callable[[keras.Model, Method], keras.Model]] = {
    "sft": _sft,
    "sft_up": _sft_up,
    "g_freeze": _growth(),
    "g_train": _growth("g_train"),
    "g_train_unequal": _growth("g_train", shares="unequal"),
    "lora": _lora,
    "lora_growth": _growth(lora=True),
    "zero_new": _growth(init="zero_down"),
    "zero_all": _growth(init="zero_down", train_all=True),
    "grow_heads": _attention("heads"),
    "grow_head_dim": _attention("head_dim"),
    "grow_mlp_and_heads": _attention("heads", mlp=True),
    "block_expansion": _block_expansion,
}
NEW_BLOCKS = 4  # of block expansion, where a method names no number

# Where to start. Those of sft and g_freeze were the best of a few on Gemma 3
# 270M over 30 updates; tune them all for your model and task.
DEFAULT_RATES = {
    "sft": 2e-5,
    "sft_up": 5e-5,
    "g_freeze": 5e-5,
    "g_train": 5e-5,
    "g_train_unequal": 5e-5,
    "lora": 5e-4,
    "lora_growth": 5e-5,
    "zero_new": 1e-4,
    "zero_all": 2e-5,
    "grow_heads": 5e-5,
    "grow_head_dim": 5e-5,
    "grow_mlp_and_heads": 5e-5,
    "block_expansion": 5e-5,
}


def _blocks(text: str) -> int | tuple[int, ...]:
    if "+" in text:
        return tuple(int(part) for part in text.split("+"))
    return int(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "name": str,
    "learning_rate": float,
    "warmup": int,
    "layers": _blocks,
    "factor": int,
    "rank": int,
    "anchor": float,
}

"""How each kind of method prepares a model."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import keras
import numpy as np
from keras.layers import Layer

from keras_grow.ablations import expand_blocks
from keras_grow.ablations import grow_attention
from keras_grow.growth.config import Init
from keras_grow.growth.config import Shares
from keras_grow.growth.config import Strategy
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.grow import grow_model
from keras_grow.growth.state import growths_of
from keras_grow.growth.trainable import train_all
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import flatten_layers

if TYPE_CHECKING:
    from keras_grow.comparison.method import Method

    Prepare = Callable[[keras.Model, Method], keras.Model]
_NEW_BLOCKS = 4  # of block expansion, where a method names no number
# Query and value where KerasHub's LoRA knows them by no name: in Gemma 3n and
# SmolLM 3, and in GPT-NeoX in one kernel with the key.
_QUERY_AND_VALUE = ("q_proj", "v_proj", "query_key_value")


def prepare_model(lm: keras.Model, method: "Method") -> keras.Model:
    """Make what the method trains trainable: in `lm`, or in a new model."""
    return PREPARATIONS[method.kind](lm, method)


def _sft(lm: keras.Model, method: "Method") -> keras.Model:
    if method.layers is not None or method.targets is not None:
        train_only(lm, target_layers(lm, method.targets, method.layers))
    return lm


def _sft_up(lm: keras.Model, method: "Method") -> keras.Model:
    backbone = backbone_of(lm)
    family = family_of(backbone)
    ups = [
        layer
        for block in family.blocks_of(backbone)
        for layer in family.mlp_of(block)[:-1]
    ]
    train_only(lm, ups)
    return lm


def _growth(
    strategy: Strategy = "g_freeze",
    init: Init = "copy",
    shares: Shares = "equal",
    whole: bool = False,
    lora: bool = False,
) -> "Prepare":
    def prepare(lm: keras.Model, method: "Method") -> keras.Model:
        grow_model(
            lm, method.factor, method.layers, strategy, init, shares=shares
        )
        if lora:
            _lora(lm, method)
        if whole:
            train_all(lm)
        return lm

    return prepare


def _lora(lm: keras.Model, method: "Method") -> keras.Model:
    if method.targets is None:
        names = lm.backbone.default_lora_layer_names()
        if not lora_parameters(lm.backbone, names):
            names = [*_QUERY_AND_VALUE]
    else:
        adapted = target_layers(lm, method.targets)
        names = sorted({layer.name for layer in adapted})
    rank = method.rank
    each = lora_parameters(lm.backbone, names)
    if not each:
        raise ValueError(
            "Expected layers that LoRA can adapt. Received: "
            f"{type(lm.backbone).__name__}, which has none named {names}. "
            "Use targets='mlp'."
        )
    if method.parameters is not None:
        rank = max(1, round(method.parameters / each))
    lm.backbone.enable_lora(rank, names)
    if not growths_of(lm):
        # KerasHub would train the biases of these layers, too.
        train_only(lm, ())
    return lm


def target_layers(
    lm: keras.Model, targets: str | None, layers: Any = None
) -> list[Layer]:
    """The projections that a method names: `"attention"`, `"mlp"`, `"all"`.

    None stands for whole blocks.
    """
    backbone = backbone_of(lm)
    family = family_of(backbone)
    blocks = family.blocks_of(backbone)
    found: list[Layer] = []
    for index in resolve_layers(layers, len(blocks)):
        block = blocks[index]
        if targets is None:
            found.append(block)
        if targets in ("attention", "all"):
            found += family.attention_of(block).values()
        if targets in ("mlp", "all"):
            found += family.mlp_of(block)
    if targets in ("attention", "all") and not family.attention:
        raise ValueError(
            "Expected a family whose row of data names its attention. "
            f"Received: {type(backbone).__name__} with targets={targets!r}. "
            "Use targets='mlp'."
        )
    return found


def lora_parameters(backbone: keras.Model, names: Sequence[str]) -> int:
    """Parameters that one rank of LoRA adds to the layers with such names.

    A kernel of shape `(..., n)` gets `a` of shape `(..., rank)` and `b` of
    shape `(rank, n)`.
    """
    shapes = [
        layer.kernel.shape
        for layer in flatten_layers(backbone, include_self=False)
        if layer.name in names and hasattr(layer, "enable_lora")
    ]
    return sum(int(np.prod(shape[:-1])) + shape[-1] for shape in shapes)


def _attention(grows: str, mlp: bool = False) -> "Prepare":
    def prepare(lm: keras.Model, method: "Method") -> keras.Model:
        if mlp:
            grow_model(lm, method.factor, method.layers)
        return grow_attention(lm, grows, method.factor, method.layers)

    return prepare


def _block_expansion(lm: keras.Model, method: "Method") -> keras.Model:
    if isinstance(method.layers, tuple):
        return expand_blocks(lm, after=method.layers)
    return expand_blocks(lm, method.layers or _NEW_BLOCKS)


# By the names of `kinds.KINDS`.
PREPARATIONS: dict[str, "Prepare"] = {
    "sft": _sft,
    "sft_up": _sft_up,
    "g_freeze": _growth(),
    "g_freeze_up": _growth("g_freeze_up"),
    "g_train": _growth("g_train"),
    "g_train_unequal": _growth("g_train", shares="unequal"),
    "lora": _lora,
    "lora_growth": _growth(lora=True),
    "zero_new": _growth(init="zero_down"),
    "zero_all": _growth(init="zero_down", whole=True),
    "grow_heads": _attention("heads"),
    "grow_head_dim": _attention("head_dim"),
    "grow_mlp_and_heads": _attention("heads", mlp=True),
    "block_expansion": _block_expansion,
}

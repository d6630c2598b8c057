"""Where the MLP sits in the backbones of each KerasHub family, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub


@dataclass(frozen=True)
class Family:
    """One row of data: how to find the MLPs of a family of backbones.

    Attributes:
        backbone_cls: the KerasHub backbone class.
        task_cls: the `CausalLM` class that holds such a backbone.
        blocks: attribute of the backbone, its list of transformer blocks.
        up: attributes of a block, its up-projections (two if gated).
        down: attribute of a block, its down-projection.
        width: argument of the backbone that sets the width of the MLP.
    """

    backbone_cls: Any
    task_cls: Any
    blocks: str = "transformer_layers"
    up: tuple[str, ...] = ("gating_ffw", "gating_ffw_2")
    down: str = "ffw_linear"
    width: str = "intermediate_dim"

    def blocks_of(self, backbone: keras.Model) -> Sequence[keras.layers.Layer]:
        """The transformer blocks of `backbone`, lowest first."""
        blocks: Sequence[keras.layers.Layer] = getattr(backbone, self.blocks)
        return blocks

    @property
    def slots(self) -> tuple[str, ...]:
        """Attributes of a block that hold its MLP, the down-projection last."""
        return (*self.up, self.down)

    def mlp_of(self, block: keras.layers.Layer) -> list[keras.layers.Layer]:
        """The layers of a block's MLP, in the order of `slots`."""
        return [getattr(block, slot) for slot in self.slots]


BUILT_IN = (
    Family(
        keras_hub.models.GemmaBackbone,
        keras_hub.models.GemmaCausalLM,
    ),
    Family(
        keras_hub.models.Gemma3Backbone,
        keras_hub.models.Gemma3CausalLM,
    ),
    Family(
        keras_hub.models.PaliGemmaBackbone,
        keras_hub.models.PaliGemmaCausalLM,
    ),
)

FAMILIES: dict[type, Family] = {row.backbone_cls: row for row in BUILT_IN}


def backbone_of(model: Any) -> keras.Model:
    """The KerasHub backbone of a task, or the backbone itself.

    Raises:
        TypeError: if `model` is neither.
    """
    if isinstance(model, keras_hub.models.Backbone):
        return model
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, keras_hub.models.Backbone):
        return backbone
    raise TypeError(
        "Expected a KerasHub model: a task such as "
        "`keras_hub.models.Gemma3CausalLM`, or its backbone. "
        f"Received: {model!r} (of type {type(model)})"
    )


def family_of(backbone: keras.Model) -> Family:
    """The row that describes `backbone`.

    Raises:
        ValueError: if no registered family has this backbone class.
    """
    for cls in type(backbone).__mro__:
        if cls in FAMILIES:
            return FAMILIES[cls]
    known = ", ".join(sorted(cls.__name__ for cls in FAMILIES))
    raise ValueError(
        f"Expected a backbone of a known family: {known}. Received: "
        f"{type(backbone).__name__}. Describe its MLP with "
        "`keras_grow.register_family(keras_grow.Family(...))` first."
    )

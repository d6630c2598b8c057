"""Where the MLP sits in the backbones of each KerasHub family, as data."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import keras
import keras_hub
from keras.layers import Layer


@dataclass(frozen=True)
class Family:
    """One row of data: how to find the MLPs of a family of backbones.

    Attributes are named by paths: `"mlp.down_proj"` is an attribute of the
    attribute `mlp`.

    Attributes:
        backbone_cls: the KerasHub backbone class. Its subclasses are of the
            family, too, unless they have a row of their own.
        blocks: attribute of the backbone, its list of transformer blocks.
        up: attributes of a block, its up-projections (two if gated).
        down: attribute of a block, its down-projection.
        width: argument of the backbone that sets the width of the MLP.
    """

    backbone_cls: type
    blocks: str = "transformer_layers"
    up: tuple[str, ...] = ("gating_ffw", "gating_ffw_2")
    down: str = "ffw_linear"
    width: str = "intermediate_dim"

    def blocks_of(self, backbone: keras.Model) -> Sequence[Layer]:
        """The transformer blocks of `backbone`, lowest first."""
        blocks: Sequence[Layer] = attrgetter(self.blocks)(backbone)
        return blocks

    @property
    def slots(self) -> tuple[str, ...]:
        """Attributes of a block that hold its MLP, the down-projection last."""
        return (*self.up, self.down)

    def mlp_of(self, block: Layer) -> list[Any]:
        """The layers of a block's MLP, in the order of `slots`."""
        return [attrgetter(slot)(block) for slot in self.slots]


def holder_of(block: Layer, slot: str) -> tuple[Layer, str]:
    """The layer that holds a slot of a block, and the attribute there."""
    path, _, attribute = slot.rpartition(".")
    return (attrgetter(path)(block) if path else block), attribute


BUILT_IN = (
    Family(keras_hub.models.GemmaBackbone),
    Family(keras_hub.models.Gemma3Backbone),
    Family(keras_hub.models.PaliGemmaBackbone),
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


def tasks_over(backbone_cls: type) -> list[type]:
    """Every KerasHub task class for backbones of exactly this class."""
    found, left = [], [keras_hub.models.Task]
    while left:
        cls = left.pop()
        left += cls.__subclasses__()
        if vars(cls).get("backbone_cls") is backbone_cls:
            found.append(cls)
    return found

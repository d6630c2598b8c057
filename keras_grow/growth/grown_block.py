"""Grown blocks: each knows its growth, for what saves block by block.

A head on `backbone.output`, or `clone_model`, makes each block from its own
config.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any
from typing import cast

import keras
import keras_hub
from keras.layers import Layer

from keras_grow.growth import build
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import check_scale
from keras_grow.growth.derive import derive
from keras_grow.growth.derive import plain_class_of
from keras_grow.growth.derive import saved_as
from keras_grow.growth.families import Family
from keras_grow.growth.families import holder_of
from keras_grow.growth.stored import parse_growths
from keras_grow.keras_internals import replace_sublayer


@keras.saving.register_keras_serializable("keras_grow", "GrownBlock")
class GrownBlock:
    """Mixin of a grown block, so that it can be saved alone.

    This name is the one under which all of them are saved; the config says
    which class a block had before.
    """

    growths: tuple[GrowthConfig, ...] = ()
    slots: tuple[str, ...] = ()

    def get_config(self) -> dict[str, Any]:
        """The config of the plain block, its growths and their scales."""
        block = cast(Any, self)
        plain = block.plain_class
        config = super().get_config()  # type: ignore[misc]
        down = holder_of(block, self.slots[-1])
        return {
            "name": block.name,
            "block": {
                "module": plain.__module__,
                "class_name": plain.__name__,
                "registered_name": keras.saving.get_registered_name(plain),
                "config": config,
            },
            "growths": [growth.to_dict() for growth in self.growths],
            "slots": list(self.slots),
            "scales": list(getattr(*down).scales),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make the plain block, which grows when it is built."""
        plain = keras.saving.deserialize_keras_object(config["block"])
        grown: Any = grown_block_class(plain_class_of(plain))
        # Keras wraps `build` when an object is made: make it of this class.
        block = grown.from_plain_config(config["block"]["config"])
        block.slots = tuple(config["slots"])
        block.growths = parse_growths(config["growths"])
        block.scales_when_built = [check_scale(s) for s in config["scales"]]
        return cast(Layer, block)

    @classmethod
    def from_plain_config(cls, config: dict[str, Any]) -> Layer:
        """Make an unbuilt block of this class, with no growth yet."""
        return cast(Layer, super().from_config(config))  # type: ignore[misc]


def _grow_when_built(block: Any) -> None:
    """Grow a block that was made from its config."""
    *up, down = block.slots
    family = Family(keras_hub.models.Backbone, up=tuple(up), down=down)
    for growth in block.growths:
        here = dataclasses.replace(growth, layers=(0,))
        grown = build.grow_blocks([block], family, here, stored=True)
        put(block, grown[block])
    for layer in family.mlp_of(block):
        layer.set_scales(block.scales_when_built)
        for part in [layer.base, *layer.slices]:
            part.trainable = part is layer.slices[-1]


def become_grown_block(
    block: Layer, slots: Sequence[str], growths: Sequence[GrowthConfig]
) -> None:
    """Give a block the class of grown blocks, or its own if none is left."""
    cls = plain_class_of(block)
    if not growths:
        block.__class__ = cls
        vars(block).pop("growths", None)
        vars(block).pop("slots", None)
        return
    block.__class__ = grown_block_class(cls)
    block.growths = tuple(growths)
    block.slots = tuple(slots)


def put(block: Layer, layers: dict[str, Any]) -> None:
    """Put layers in the place of those in the slots of a block."""
    for slot, layer in layers.items():
        holder, attribute = holder_of(block, slot)
        replace_sublayer(holder, attribute, layer)


@functools.cache
def grown_block_class(plain: Any) -> type:
    """The class of a grown block that was a `plain`."""
    cls: Any = derive(plain, GrownBlock)

    # Keras reads from the signature which shapes a block is built with.
    @functools.wraps(plain.build)
    def build_and_grow(self: Any, *args: Any, **kwargs: Any) -> None:
        plain.build(self, *args, **kwargs)
        _grow_when_built(self)

    cls.build = build_and_grow
    return saved_as(cls, GrownBlock)

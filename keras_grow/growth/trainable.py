"""What trains: the slices of the newest growth, and LoRA beside them."""

from collections.abc import Iterable
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.keras_internals import children
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import own_trainable_variables
from keras_grow.keras_internals import set_own_trainable


def train_only(model: keras.Model, layers: Iterable[Layer]) -> None:
    """Freeze `model`, except `layers` anywhere below it and LoRA kernels."""
    keep = {id(layer) for layer in layers}
    keep |= {
        id(below)
        for layer in flatten_layers(model)
        if id(layer) in keep
        for below in flatten_layers(layer)
    }
    _train_only(model, keep, _holders(model, keep))


def train_all(model: keras.Model) -> None:
    """Let every weight of `model` train, the base's of a grown one included."""
    train_only(model, flatten_layers(model))


class TrainableFlags:
    """What of a model trained, to be set again later."""

    def __init__(self, model: keras.Model) -> None:
        self._layers = [
            (layer, layer.trainable) for layer in flatten_layers(model)
        ]
        self._variables = [
            (variable, variable.trainable)
            for layer, _ in self._layers
            for variable in own_trainable_variables(layer)
        ]

    def restore(self) -> None:
        """Restore it, except for kernels put under LoRA since."""
        for layer, value in self._layers:
            set_own_trainable(layer, value)
        for variable, value in self._variables:
            variable.trainable = value
        for layer, _ in self._layers:
            if getattr(layer, "lora_enabled", False):
                layer.trainable = True
                for variable in own_trainable_variables(layer):
                    variable.trainable = "lora_kernel" in variable.name


def _holders(layer: Layer, keep: set[int]) -> set[int]:
    """Ids of the layers that hold, or are, a layer with something to train."""
    inside: set[int] = set()
    for child in children(layer):
        inside |= _holders(child, keep)
    if inside or id(layer) in keep or getattr(layer, "lora_enabled", False):
        inside.add(id(layer))
    return inside


def _train_only(layer: Any, keep: set[int], holders: set[int]) -> None:
    # Setting `trainable` reaches every layer below, so go from the top down;
    # on TensorFlow it reaches none if nothing changes, so set variables too.
    set_own_trainable(layer, id(layer) in holders)
    for variable in own_trainable_variables(layer):
        variable.trainable = id(layer) in keep or "lora_kernel" in variable.name
    for child in children(layer):
        _train_only(child, keep, holders)

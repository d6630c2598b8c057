"""What trains: the slices of the newest growth, and LoRA beside them."""

from collections.abc import Iterable
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.growth.lora import lora_layers
from keras_grow.growth.lora import own_lora
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
    """Which weights of a model train, recorded to be restored later."""

    def __init__(self, model: keras.Model) -> None:
        self._layers = [
            (layer, layer.trainable) for layer in flatten_layers(model)
        ]
        self._variables = [
            (variable, variable.trainable)
            for layer, _ in self._layers
            for variable in own_trainable_variables(layer)
        ]
        self._model = model
        self._lora = {id(layer) for layer in lora_layers(model)}

    def restore(self) -> None:
        """Restore it; where LoRA was enabled since, LoRA alone trains."""
        if any(
            id(layer) not in self._lora for layer in lora_layers(self._model)
        ):
            train_only(self._model, ())
            return
        for layer, value in self._layers:
            set_own_trainable(layer, value)
        for variable, value in self._variables:
            variable.trainable = value


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
    lora = {id(variable) for variable in own_lora(layer)}
    for variable in own_trainable_variables(layer):
        variable.trainable = id(layer) in keep or id(variable) in lora
    for child in children(layer):
        _train_only(child, keep, holders)

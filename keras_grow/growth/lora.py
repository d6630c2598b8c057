"""LoRA beside a growth: saved apart from the base, as the slices are.

Keras merges a layer's LoRA into its kernel where it saves the layer. Beside a
growth that would lose the base, which `growth_disabled` restores.
"""

import functools
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import lora_file_methods
from keras_grow.keras_internals import set_lora_state
from keras_grow.layers.growable_dense import GrowableDense

_ADDED = (
    "lora_kernel_a",
    "lora_kernel_b",
    "lora_embeddings_a",
    "lora_embeddings_b",
)


def lora_variables(model: keras.Model) -> list[keras.Variable]:
    """What LoRA added to the layers of a model, or to one layer."""
    return [
        getattr(layer, name)
        for layer in flatten_layers(model)
        for name in _ADDED
        if hasattr(layer, name)
    ]


def lora_layers(backbone: keras.Model) -> list[Layer]:
    """Every layer of `backbone` that is under LoRA."""
    return [
        layer
        for layer in flatten_layers(backbone)
        if getattr(layer, "lora_enabled", False)
    ]


def lora_ranks(backbone: keras.Model) -> dict[str, dict[str, float]]:
    """Rank and alpha of every layer under LoRA, by its path."""
    return {
        layer.path: {"rank": layer.lora_rank, "alpha": layer.lora_alpha}
        for layer in lora_layers(backbone)
    }


def enable(backbone: keras.Model, ranks: dict[str, Any]) -> None:
    """Put layers under LoRA as `lora_ranks` says."""
    layers = {layer.path: layer for layer in flatten_layers(backbone)}
    for path, values in ranks.items():
        layers[path].enable_lora(values["rank"], lora_alpha=values["alpha"])
    note(backbone)


def note(backbone: keras.Model) -> None:
    """Let a grown backbone save its LoRA apart, and know where it is."""
    for layer in lora_layers(backbone):
        for name in ("save_own_variables", "load_own_variables"):
            plain = functools.partial(getattr(Layer, name), layer)
            setattr(layer, name, plain)
    _note_indices(backbone)


def save_merged(backbone: keras.Model) -> None:
    """Undo `note`: without a growth, layers save as Keras has them."""
    for layer in lora_layers(backbone):
        for name in ("save_own_variables", "load_own_variables"):
            vars(layer).pop(name, None)
    _note_indices(backbone)


def save_file(backbone: Any, filepath: str) -> None:
    """Write KerasHub's LoRA file as the base of `backbone` would."""
    save, _ = lora_file_methods()
    save(_BaseView(backbone), filepath)


def load_file(backbone: Any, filepath: str) -> None:
    """Read KerasHub's LoRA file as the base of `backbone` would."""
    _, load = lora_file_methods()
    load(_BaseView(backbone), filepath)


class _BaseView:
    """A grown backbone as KerasHub's LoRA files know it: without its slices.

    They name a layer by its place among all layers with weights.
    """

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone

    def __getattr__(self, name: str) -> Any:
        """What is not about layers is the backbone's own."""
        return getattr(self._backbone, name)

    def _flatten_layers(self, include_self: bool = False) -> list[Layer]:
        return _base_layers(self._backbone)


def _base_layers(backbone: keras.Model) -> list[Layer]:
    """The layers of the base, in the order that they had before it grew."""
    added: set[int] = set()
    for layer in flatten_layers(backbone, include_self=False):
        if isinstance(layer, GrowableDense):
            added.add(id(layer))
            for new in layer.slices:
                added.update(id(below) for below in flatten_layers(new))
    return [
        layer
        for layer in flatten_layers(backbone, include_self=False)
        if id(layer) not in added
    ]


def _note_indices(backbone: Any) -> None:
    """KerasHub's own record of which layers of the base are under LoRA."""
    layers = [layer for layer in _base_layers(backbone) if layer.weights]
    under = [
        index
        for index, layer in enumerate(layers)
        if getattr(layer, "lora_enabled", False)
    ]
    if under:
        set_lora_state(backbone, under, layers[under[0]].lora_rank)

"""LoRA beside a growth: saved apart from the base, as the slices are.

Keras merges a layer's LoRA into its kernel where it saves the layer. Beside a
growth that would lose the base, which `growth_disabled` restores.
"""

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import lora_file_methods
from keras_grow.keras_internals import set_lora_state
from keras_grow.layers.growable_dense import GrowableDense

# What growth files and configs of grown models can hold under LoRA.
LORA_KINDS = (keras.layers.Dense, keras.layers.EinsumDense)
_ADDED = (
    "lora_kernel_a",
    "lora_kernel_b",
    "lora_embeddings_a",
    "lora_embeddings_b",
)


def lora_variables(model: keras.Model) -> list[keras.Variable]:
    """What LoRA added to the layers of a model."""
    return [new for layer in flatten_layers(model) for new in own_lora(layer)]


def own_lora(layer: Layer) -> list[keras.Variable]:
    """What LoRA added to a layer itself."""
    return [getattr(layer, name) for name in _ADDED if hasattr(layer, name)]


def lora_layers(backbone: keras.Model) -> list[Layer]:
    """Every layer of `backbone` that is under LoRA."""
    return [
        layer
        for layer in flatten_layers(backbone)
        if getattr(layer, "lora_enabled", False)
    ]


def layers_by_path(backbone: keras.Model) -> dict[str, Layer]:
    """Layers that LoRA can adapt, each by a path of its own.

    KerasHub gives some layers one path, such as SmolLM 3's `o_proj`: all but
    the first are numbered.
    """
    layers = [
        layer
        for layer in flatten_layers(backbone)
        if hasattr(layer, "enable_lora")
    ]
    return dict(zip(numbered([x.path for x in layers]), layers, strict=True))


def numbered(paths: Sequence[str]) -> list[str]:
    """The same paths, with a number where one comes again: `a`, `a#1`."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for path in paths:
        number, seen[path] = seen[path], seen[path] + 1
        found.append(f"{path}#{number}" if number else path)
    return found


def lora_ranks(backbone: keras.Model) -> dict[str, dict[str, float]]:
    """Rank and alpha of every layer under LoRA, by its path."""
    return {
        path: {"rank": layer.lora_rank, "alpha": layer.lora_alpha}
        for path, layer in layers_by_path(backbone).items()
        if getattr(layer, "lora_enabled", False)
    }


def enable(backbone: keras.Model, ranks: dict[str, Any]) -> None:
    """Put layers under LoRA as `lora_ranks` says."""
    layers = layers_by_path(backbone)
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


class SavesLora:
    """What a grown backbone does to save and load the LoRA in it."""

    def save_own_variables(self, store: Any) -> None:
        """Save LoRA separately, even if it was enabled on a single layer."""
        note(self)
        super().save_own_variables(store)  # type: ignore[misc]

    def load_own_variables(self, store: Any) -> None:
        """Load it in the same way; the backbone comes before its layers."""
        note(self)
        super().load_own_variables(store)  # type: ignore[misc]

    def save_lora_weights(self, filepath: str) -> None:
        """Write KerasHub's LoRA file, as the base would."""
        save, _ = lora_file_methods()
        save(_BaseView(self), filepath)

    def load_lora_weights(self, filepath: str) -> None:
        """Read a LoRA file of the base or of a grown model."""
        _, load = lora_file_methods()
        load(_BaseView(self), filepath)


def check_targets(
    backbone: keras.Model,
    grown: Sequence[Layer],
    names: Sequence[str] | None,
) -> None:
    """Refuse layers, by their names, whose LoRA no file could hold."""
    inside = {id(part) for layer in grown for part in flatten_layers(layer)}
    refused = [
        layer.name
        for layer in flatten_layers(backbone)
        if layer.name in (names or ())
        and hasattr(layer, "enable_lora")
        and (id(layer) in inside or not isinstance(layer, LORA_KINDS))
    ]
    refused += [layer.name for layer in grown if layer.name in (names or ())]
    if refused:
        raise ValueError(
            "Expected LoRA on dense layers other than the grown MLPs, whose "
            "new slices train already. Received: "
            f"target_layer_names={list(names or ())}, which names "
            f"{sorted(set(refused))}"
        )


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

"""LoRA beside a growth: saved apart from the base, as the slices are.

Keras merges a layer's LoRA into its kernel where it saves the layer. Beside a
growth that would lose the base, which `growth_disabled` gives back.
"""

import functools
from typing import Any

import keras
from keras.layers import Layer


def lora_layers(backbone: keras.Model) -> list[Layer]:
    """Every layer of `backbone` that is under LoRA."""
    return [
        layer
        for layer in backbone._flatten_layers()
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
    layers = {layer.path: layer for layer in backbone._flatten_layers()}
    for path, values in ranks.items():
        layers[path].enable_lora(values["rank"], lora_alpha=values["alpha"])
    save_apart(backbone)


def save_apart(backbone: keras.Model) -> None:
    """Let layers under LoRA save kernel and LoRA kernels each for itself."""
    for layer in lora_layers(backbone):
        for name in ("save_own_variables", "load_own_variables"):
            plain = functools.partial(getattr(Layer, name), layer)
            setattr(layer, name, plain)


def save_merged(backbone: keras.Model) -> None:
    """Undo `save_apart`: without a growth, layers save as Keras has them."""
    for layer in lora_layers(backbone):
        for name in ("save_own_variables", "load_own_variables"):
            vars(layer).pop(name, None)

"""Every private name of Keras and KerasHub that keras_grow relies on.

Nothing else in the package touches one. `tests/test_keras_internals.py` fails
with the name when one of them goes.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Layer

# Attribute by owner, checked by the test: a layer, a built dense layer, an
# embedding, a compiled model.
OF_LAYERS = (
    "_flatten_layers",
    "_tracker",
    "_trainable_variables",
    "_non_trainable_variables",
)
OF_KERNELS = ("_kernel",)
OF_EMBEDDINGS = ("_embeddings",)
OF_COMPILED_MODELS = ("_compile_metrics",)
# What `exclude_from_weight_decay` was told: keys of variables, and names. They
# are there after that call.
OF_DECAY = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
OF_VARIABLES = ("_value", "_initializer")
OF_BACKBONES = ("_flatten_layers",)


def flatten_layers(layer: Layer, include_self: bool = True) -> list[Layer]:
    """A layer and every layer below it."""
    layers: list[Layer] = layer._flatten_layers(include_self=include_self)
    return layers


def children(layer: Layer) -> list[Layer]:
    """The layers that a layer holds itself."""
    layers: list[Layer] = layer._flatten_layers(
        include_self=False, recursive=False
    )
    return layers


def own_trainable_variables(layer: Layer) -> list[keras.Variable]:
    """Variables of a layer itself that were made to train."""
    return list(layer._trainable_variables)


def kernel_variable(layer: Layer) -> keras.Variable:
    """The stored kernel, of which LoRA and int8 make `layer.kernel`."""
    return layer._kernel


def embedding_variable(layer: Layer) -> keras.Variable:
    """The stored table of an embedding."""
    return layer._embeddings


def has_value(variable: keras.Variable) -> bool:
    """Whether a variable has a value, or will when it is first read.

    `value` itself would initialize a variable that was never read.
    """
    return variable._value is not None or variable._initializer is not None


def compile_metrics(model: keras.Model) -> Any:
    """The metrics that `compile` was given; every `compile` replaces them."""
    return getattr(model, "_compile_metrics", None)


def replace_sublayer(parent: Layer, attribute: str, new: Layer) -> None:
    """Put `new` in the place of a sub-layer of a built layer.

    A locked tracker takes no new layer, so the old one is replaced in it. The
    order of the layers is kept, for it is the order of the variables.
    """
    old = getattr(parent, attribute)
    parent._tracker.replace_tracked_value("layers", old, new)
    setattr(parent, attribute, new)
    if keras.config.backend() == "torch":
        # `torch.nn.Module.parameters()` reads its own register.
        parent._track_variables()


def set_own_trainable(layer: Layer, value: bool) -> None:
    """Keras' own setter of `trainable`, past any override of it."""
    Layer.trainable.fset(layer, value)


def lora_file_methods() -> tuple[Any, Any]:
    """KerasHub's functions that write and read a `.lora.h5` file."""
    import keras_hub

    backbone = keras_hub.models.Backbone
    return backbone.save_lora_weights, backbone.load_lora_weights


def set_lora_state(
    backbone: keras.Model, indices: Sequence[int], rank: int
) -> None:
    """Tell a backbone which of its layers are under LoRA."""
    backbone._lora_enabled_layers = list(indices)
    backbone._lora_rank = rank

"""Every private name of Keras and KerasHub that keras_grow relies on.

Nothing else in the package uses one. `tests/test_keras_internals.py` fails with
the name when one of them disappears.
"""

from collections.abc import Callable
from collections.abc import Sequence
from inspect import signature
from typing import Any

import keras
from keras import ops
from keras.layers import Layer
from keras.src.backend.common import global_state

# Attributes by owner, checked by the test.
OF_LAYERS = (
    "_flatten_layers",
    "_tracker",
    "_trainable_variables",
    "_non_trainable_variables",
    "_unpickle_model",
)
OF_KERNELS = ("_kernel",)
OF_EINSUMS = ("_adjust_scale_for_dequant",)
OF_EMBEDDINGS = ("_embeddings",)
OF_COMPILED_MODELS = (
    "_compile_metrics",
    "_compile_loss",
    "_compile_config",
    "_compiled_trainable_state",
    "_metrics",
)
OF_COMPILED_METRICS = ("_user_metrics", "_user_weighted_metrics")
OF_COMPILED_LOSSES = ("_user_loss_weights",)
OF_OPTIMIZERS = ("_iterations",)
OF_TENSORS = ("_keras_history",)
OF_OPERATIONS = ("_inbound_nodes",)
OF_ATTENTION = ("_apply_rope", "_compute_attention")
# What `exclude_from_weight_decay` sets: keys of variables, and names. They
# exist after that call.
OF_DECAY = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
OF_VARIABLES = (
    "_value",
    "_initialize",
    "_initializer",
    "_convert_to_tensor",
    "_layout",
)
OF_STORES = ("_h5_entry_group",)
OF_CAUSAL_LMS = ("_build_cache",)
OF_LORA_BACKBONES = ("_lora_enabled_layers", "_lora_rank")
# With this a data set's adapter reads batches to learn their shapes.
OF_DATA_ADAPTERS = ("get_tf_dataset",)
_PENDING = "uninitialized_variables"


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
    """Variables of a layer itself that were created trainable."""
    return list(layer._trainable_variables)


def own_variables(layer: Layer) -> list[keras.Variable]:
    """Every variable of a layer itself, in the order of weights files."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def stored_shape(store: Any, key: str) -> tuple[int, ...]:
    """The shape of a variable in a weights file, which is not read."""
    group = store._h5_entry_group
    # Of a file in shards, the variables of one layer may be in two.
    return tuple((group if key in group else store)[key].shape)


def kernel_variable(layer: Layer) -> keras.Variable:
    """The stored kernel, from which LoRA and int8 make `layer.kernel`."""
    return layer._kernel


def embedding_variable(layer: Layer) -> keras.Variable:
    """The stored table of an embedding."""
    return layer._embeddings


def has_value(variable: keras.Variable) -> bool:
    """Whether a variable has a value, or will have when first read.

    `value` itself would initialize a variable that was never read.
    """
    return variable._value is not None or variable._initializer is not None


def empty_variable(variable: keras.Variable) -> None:
    """Release a variable's value, until `fill_variable`."""
    if keras.config.backend() == "torch":
        # A layer's `torch.nn.Module` holds the parameter, too.
        variable._value.data = variable._value.data.new_empty(0)
    else:
        variable._value = None


def fill_variable(variable: keras.Variable, array: Any) -> None:
    """Give an emptied variable a value of its shape."""
    value = variable._convert_to_tensor(array, dtype=variable.dtype)
    if keras.config.backend() == "torch":
        variable._value.data = value
    else:
        variable._initialize(value)


def compile_settings(model: keras.Model) -> Any:
    """All that `compile` was given; every `compile` replaces it."""
    return getattr(model, "_compile_config", None)


def forget_trainable_state(model: keras.Model) -> None:
    """Let go of the layers that a model had when it was compiled.

    Keras keeps them to warn where one was frozen or thawed since.
    """
    if hasattr(model, "_compiled_trainable_state"):
        del model._compiled_trainable_state


def compile_metrics(model: keras.Model) -> Any:
    """The metrics that `compile` was given, if any."""
    return getattr(model, "_compile_metrics", None)


def replace_sublayer(parent: Layer, attribute: str, new: Layer) -> None:
    """Put `new` in the place of a sub-layer of a built layer.

    A locked tracker takes no new layer, so the old one is replaced in it. The
    order of the layers is kept, because it is the order of the variables.
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


def unpickled() -> Callable[..., Any]:
    """Keras' function that loads what a model pickled itself as."""
    function: Callable[..., Any] = keras.Model._unpickle_model
    return function


def loss_weights(model: keras.Model) -> Any:
    """The `loss_weights` that `compile` was given."""
    return model._compile_loss._user_loss_weights


def unweighted_metrics(model: keras.Model) -> Any:
    """The `metrics` that `compile` was given, those without weights."""
    metrics = compile_metrics(model)
    return None if metrics is None else metrics._user_metrics


def given_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """The metrics that `compile` was given, which it may not have built yet."""
    metrics = compile_metrics(model)
    if metrics is None:
        return []
    given = [metrics._user_metrics, metrics._user_weighted_metrics]
    flat = keras.tree.flatten(given)
    return [m for m in flat if isinstance(m, keras.metrics.Metric)]


def own_metrics(model: keras.Model) -> list[keras.metrics.Metric]:
    """The list of a model's own metrics, to be read and changed."""
    metrics: list[keras.metrics.Metric] = model._metrics
    return metrics


def step_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The number of updates, including partially accumulated ones."""
    return optimizer._iterations


def history_of(tensor: Any) -> tuple[Any, Any]:
    """The operation that made a symbolic tensor, and its node."""
    operation, node_index, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node_index]


def preset_backbone_class(name: str) -> type:
    """The backbone class of a preset, of which only the config is read."""
    from keras_hub.src.utils.preset_utils import get_preset_loader

    found: type = get_preset_loader(name).check_backbone_class()
    return found


def has_cache(lm: keras.Model) -> bool:
    """Whether a task builds a cache for a prompt."""
    return hasattr(lm, "_build_cache")


def cache_of(lm: keras.Model, token_ids: Any) -> Any:
    """The cache that a task builds for a prompt of text alone."""
    build = lm._build_cache
    known = {
        "token_ids": token_ids,
        "padding_mask": ops.ones(token_ids.shape, "bool"),
    }
    _, cache = build(**{n: known.get(n) for n in signature(build).parameters})
    return cache


def kernel_scale(layer: Layer) -> Any:
    """The divisor of an int8 kernel, in float32."""
    scale = ops.cast(layer.kernel_scale, "float32")
    if isinstance(layer, keras.layers.EinsumDense):
        scale = layer._adjust_scale_for_dequant(scale)
    return scale


def set_initializer(variable: keras.Variable, initializer: Any) -> None:
    """Set how a variable gets its value when it is first read."""
    variable._initializer = initializer


def set_layout(variable: keras.Variable, distribution: Any) -> None:
    """Lay a variable out as a distribution says."""
    variable._layout = None
    variable._layout = distribution.get_variable_layout(variable)


def apply_rope(attention: Layer, heads: Any, position: Any) -> Any:
    """Rotate heads as a KerasHub Gemma attention does."""
    return attention._apply_rope(heads, position)


def compute_attention(attention: Layer, *args: Any, **kwargs: Any) -> Any:
    """Attend as a KerasHub Gemma attention does."""
    return attention._compute_attention(*args, **kwargs)


def pending_variables() -> list[Any]:
    """Variables whose values Keras makes at the end of the next scope."""
    found: list[Any] = global_state.get_global_attribute(_PENDING, [])
    return list(found)


def set_pending_variables(variables: list[Any]) -> None:
    """Put others in their place."""
    global_state.set_global_attribute(_PENDING, variables)

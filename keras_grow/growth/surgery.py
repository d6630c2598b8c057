"""The few changes to a built Keras model that its public API has no call for.

Keras itself does the same in `enable_lora` and `quantize`: replace a layer of
a built one, freeze what was not asked to train, forget what was compiled.
"""

from collections.abc import Iterable

import keras
from keras.layers import Layer

COMPILED = ("train_function", "test_function", "predict_function")
# What `exclude_from_weight_decay` was told: keys of variables, and names.
_EXCLUDED = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
# Where `growth_disabled` keeps what was compiled for the model without growth.
WITHOUT_GROWTH = "_compiled_without_growth"


def replace_layer(parent: Layer, attribute: str, new: Layer) -> None:
    """Put `new` in the place of a sub-layer of a built layer.

    Args:
        parent: the layer that holds the sub-layer.
        attribute: name of the attribute that holds it.
        new: the layer to hold instead, already built.
    """
    old = getattr(parent, attribute)
    # A locked tracker takes no new layer; the order of the layers is kept, for
    # it is the order of the variables.
    parent._tracker.replace_tracked_value("layers", old, new)
    setattr(parent, attribute, new)
    if keras.config.backend() == "torch":
        # `torch.nn.Module.parameters()` reads its own register.
        parent._track_variables()


def train_only(model: keras.Model, layers: Iterable[Layer]) -> None:
    """Freeze `model` but for `layers` and for LoRA kernels.

    Args:
        model: a task or a backbone.
        layers: the layers to train, anywhere below it.
    """
    keep = {id(layer) for layer in layers}
    _train_only(model, keep, _holders(model, keep))


def train_all(model: keras.Model) -> None:
    """Let every weight of `model` train, but for kernels under LoRA.

    `model.trainable = True` does nothing on TensorFlow if it is True already.

    Args:
        model: a task or a backbone.
    """
    for layer in model._flatten_layers():
        layer.trainable = True
        lora = getattr(layer, "lora_enabled", False)
        for variable in layer._trainable_variables:
            variable.trainable = not lora or "lora_kernel" in variable.name


def reset_compiled(model: keras.Model) -> None:
    """Forget every compiled function, and the state of the optimizer.

    The model stays compiled, with a new optimizer of the same settings: the
    old one holds moments for variables that no longer train.

    Args:
        model: a task or a backbone; models inside it are reset too.
    """
    for part in models_in(model):
        for name in compiled_names(part):
            setattr(part, name, None)
        vars(part).pop(WITHOUT_GROWTH, None)
        if getattr(part, "optimizer", None) is not None:
            part.optimizer = _fresh(part.optimizer)


def check_resettable(model: keras.Model) -> None:
    """Refuse a model for which `reset_compiled` would fail.

    Args:
        model: a task or a backbone.

    Raises:
        ValueError: if its optimizer cannot be made anew from its config.
    """
    for part in models_in(model):
        optimizer = getattr(part, "optimizer", None)
        try:
            if optimizer is not None:
                _fresh(optimizer)
        except Exception as error:
            raise ValueError(
                "Expected a model that is not compiled, or with an optimizer "
                "that can be made anew from its config. Received: "
                f"{optimizer!r} ({error!r}). Give its schedule a "
                "`get_config`, or compile the model afterwards."
            ) from error


def _fresh(
    optimizer: keras.optimizers.Optimizer,
) -> keras.optimizers.Optimizer:
    """An optimizer of the same settings without state."""
    fresh = optimizer.__class__.from_config(optimizer.get_config())
    old, new = optimizer, fresh
    while old is not None:
        _copy_settings(old, new)
        # A scaled loss has the optimizer proper inside.
        old = getattr(old, "inner_optimizer", None)
        new = getattr(new, "inner_optimizer", None)
    return fresh


def _copy_settings(
    old: keras.optimizers.Optimizer, new: keras.optimizers.Optimizer
) -> None:
    """Copy what no config of an optimizer holds."""
    for name, value in vars(old).items():
        if name in _EXCLUDED or (
            name != "built"
            and not name.startswith("_")
            and isinstance(value, bool | int | float | str | None)
            and vars(new).get(name) != value
        ):
            setattr(new, name, value)


def models_in(model: keras.Model) -> list[keras.Model]:
    """`model` and every Keras model inside it."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.Model)
    ]


def compiled_names(model: keras.Model) -> list[str]:
    """Names of the attributes of `model` that hold compiled functions."""
    return [
        name
        for name in (*COMPILED, "generate_function")
        if hasattr(model, name)
    ]


def _holders(layer: Layer, keep: set[int]) -> set[int]:
    """Ids of the layers that hold, or are, a layer with something to train."""
    inside: set[int] = set()
    for child in layer._flatten_layers(include_self=False, recursive=False):
        inside |= _holders(child, keep)
    if inside or id(layer) in keep or getattr(layer, "lora_enabled", False):
        inside.add(id(layer))
    return inside


def _train_only(layer: Layer, keep: set[int], holders: set[int]) -> None:
    # Setting `trainable` reaches every layer below, so go from the top down;
    # on TensorFlow it reaches none if nothing changes, so set variables too.
    layer.trainable = id(layer) in holders
    for variable in layer._trainable_variables:
        variable.trainable = id(layer) in keep or "lora_kernel" in variable.name
    for child in layer._flatten_layers(include_self=False, recursive=False):
        _train_only(child, keep, holders)

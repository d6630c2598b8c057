"""What Keras has compiled for a model, kept for each of its states.

A trace freezes which slices are computed. Keras keeps one function per
purpose on the model; here one is kept for each state beside it.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterator
from typing import Any

import keras

from keras_grow.keras_internals import OF_DECAY
from keras_grow.keras_internals import compile_metrics
from keras_grow.keras_internals import flatten_layers

COMPILED = (
    "train_function",
    "test_function",
    "predict_function",
    "generate_function",
)
# Attribute of a model that holds what was compiled for its other states.
_OTHER_STATES = "_compiled_by_growth_state"
_KEPT = 8


def reset_compiled(model: keras.Model) -> None:
    """Forget every compiled function, and the state of the optimizer.

    The model stays compiled, with a new optimizer of the same settings: the old
    one holds moments for variables that no longer train. Models inside it are
    reset too.
    """
    for part in models_in(model):
        for name in compiled_names(part):
            setattr(part, name, None)
        vars(part).pop(_OTHER_STATES, None)
        if getattr(part, "optimizer", None) is not None:
            part.optimizer = _fresh(part.optimizer)


def check_resettable(model: keras.Model) -> None:
    """Refuse a model whose optimizer `reset_compiled` could not rebuild."""
    for part in models_in(model):
        optimizer = getattr(part, "optimizer", None)
        try:
            if optimizer is not None:
                _fresh(optimizer)
        except Exception as error:
            raise ValueError(
                "Expected a model that is not compiled, or with an optimizer "
                "that can be rebuilt from its config. Received: "
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
        # With loss scaling, the actual optimizer is inside another.
        old = getattr(old, "inner_optimizer", None)
        new = getattr(new, "inner_optimizer", None)
    return fresh


def _copy_settings(
    old: keras.optimizers.Optimizer, new: keras.optimizers.Optimizer
) -> None:
    """Copy the settings that an optimizer's config leaves out."""
    for name, value in vars(old).items():
        if name in OF_DECAY or (
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
        for layer in flatten_layers(model)
        if isinstance(layer, keras.Model)
    ]


def compiled_names(model: keras.Model) -> list[str]:
    """Names of the attributes of `model` that hold compiled functions."""
    return [name for name in COMPILED if hasattr(model, name)]


def exchange(model: keras.Model, old: Hashable, new: Hashable) -> None:
    """Set aside what was compiled for one state; restore that of another."""
    if old == new:
        return
    for part in models_in(model):
        key = compile_metrics(part)
        kept = vars(part).get(_OTHER_STATES)
        if kept is None:
            kept = OrderedDict()
            # Past the attribute tracking of Keras: functions are no state.
            object.__setattr__(part, _OTHER_STATES, kept)
        kept[old] = (key, functions_of(part))
        compiled_for, functions = kept.pop(new, (None, {}))
        # Every `compile` makes what was compiled before it stale.
        install(part, functions if compiled_for is key else {})
        while len(kept) > _KEPT:
            kept.popitem(last=False)


@contextlib.contextmanager
def methods_replaced(
    model: Any, **methods: Callable[..., Any]
) -> Iterator[None]:
    """Give one model, and not its class, other methods inside the block."""
    own = vars(model)
    before = {name: own[name] for name in methods if name in own}
    own.update(methods)
    try:
        yield
    finally:
        for name in methods:
            del own[name]
        own.update(before)


def own_step(model: Any, name: str) -> contextlib.AbstractContextManager[None]:
    """Give the step that is compiled inside the block an identity of its own.

    JAX reuses the trace of a function that equals another, and a method of a
    model equals itself in each state, while a trace is of one state alone.
    """
    step = getattr(model, name)
    own = {name: lambda *arguments: step(*arguments)}
    return methods_replaced(model, **own)


def functions_of(model: keras.Model) -> dict[str, Any]:
    """The compiled functions that a model holds now."""
    return {name: getattr(model, name) for name in compiled_names(model)}


def install(model: keras.Model, functions: dict[str, Any]) -> None:
    """Give a model these compiled functions, and no others."""
    for name in compiled_names(model):
        setattr(model, name, functions.get(name))

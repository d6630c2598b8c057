"""What Keras has compiled for a model, kept for each of its states.

A trace freezes which slices are computed. Keras keeps one function per
purpose on the model; here one is kept for each state beside it. Several models
may share a backbone, and any of them may turn its dial: so a model looks at its
state whenever a function is asked for.
"""

import contextlib
import operator
from collections import OrderedDict
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_grow.keras_internals import OF_DECAY
from keras_grow.keras_internals import compile_settings
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import forget_trainable_state

COMPILED = (
    "train_function",
    "test_function",
    "predict_function",
    "generate_function",
)
# What changes a step without `compile`, on the model itself.
_STEPS = ("train_step", "test_step", "make_train_function")
# Attribute of a model that holds what was compiled for its other states.
_BY_STATE = "_compiled_by_growth_state"
_KEPT = 16


@dataclass(eq=False)
class _ByState:
    """The state that a model's own functions are of, and those of others.

    With the functions is kept what they were made of.
    """

    state: Hashable
    others: OrderedDict[Hashable, tuple[list[Any], dict[str, Any]]]


def reset_compiled(model: keras.Model) -> None:
    """Forget every compiled function, and the state of the optimizer.

    The model stays compiled, with a new optimizer of the same settings: the old
    one holds moments for variables that no longer train. Models inside it are
    reset too.
    """
    for part in models_in(model):
        for name in compiled_names(part):
            setattr(part, name, None)
        vars(part).pop(_BY_STATE, None)
        forget_trainable_state(part)
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
    for old, new in zip(with_inner(optimizer), with_inner(fresh), strict=True):
        _copy_settings(old, new)
    return fresh


def with_inner(optimizer: Any) -> list[keras.optimizers.Optimizer]:
    """An optimizer and, with loss scaling, the actual one inside it."""
    found = []
    while optimizer is not None:
        found.append(optimizer)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    return found


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


def switch_state(model: keras.Model) -> Hashable:
    """Which slices, and which LoRA kernels, a model computes now."""
    names = ("growth_enabled", "active", "base_active", "lora_enabled")
    return tuple(
        tuple(getattr(layer, name) for name in names if hasattr(layer, name))
        for layer in flatten_layers(model)
        if hasattr(layer, "growth_enabled") or hasattr(layer, "lora_enabled")
    )


def sync(model: keras.Model) -> None:
    """Give a model, and those inside it, the functions of its state now.

    Call it before and after a change of state.
    """
    for part in models_in(model):
        # The walk over all layers is for models that have any function.
        if _BY_STATE in vars(part) or any(functions_of(part).values()):
            sync_part(part)


def sync_part(part: keras.Model) -> None:
    """The same of one model, whose functions are used or made next."""
    state, held = switch_state(part), vars(part).get(_BY_STATE)
    if held is None:
        # Past the attribute tracking of Keras: functions are no state.
        own = _ByState(state, OrderedDict())
        object.__setattr__(part, _BY_STATE, own)
    elif held.state != state:
        _move(part, held, state)


def _move(part: keras.Model, held: _ByState, state: Hashable) -> None:
    """Set aside what was compiled for one state; restore that of another."""
    now = _made_of(part)
    held.others[held.state] = (now, functions_of(part))
    then, functions = held.others.pop(state, ([], {}))
    same = len(then) == len(now) and all(map(operator.is_, then, now))
    install(part, functions if same else {})
    held.state = state
    while len(held.others) > _KEPT:
        held.others.popitem(last=False)


def _made_of(model: keras.Model) -> list[Any]:
    """What compiled functions are made of: if any differs, they are stale."""
    own = vars(model)
    steps = [own.get(name) for name in _STEPS]
    return [compile_settings(model), *steps, *model.variables]


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


@contextlib.contextmanager
def compiled_anew(model: keras.Model) -> Iterator[None]:
    """Have a model compile what is used inside the block, for itself alone."""
    sync_part(model)
    kept = functions_of(model)
    install(model, {})
    try:
        yield
    finally:
        install(model, kept)


def functions_of(model: keras.Model) -> dict[str, Any]:
    """The compiled functions that a model holds now."""
    return {name: getattr(model, name) for name in compiled_names(model)}


def install(model: keras.Model, functions: dict[str, Any]) -> None:
    """Give a model these compiled functions, and no others."""
    for name in compiled_names(model):
        setattr(model, name, functions.get(name))

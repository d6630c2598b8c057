"""Growth switched off for a while: the base, at its original speed."""

from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import ExitStack
from contextlib import contextmanager
from typing import Any
from typing import NoReturn

import keras

from keras_grow.growth.compiled import methods_replaced
from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import sync
from keras_grow.growth.state import grown_state
from keras_grow.keras_internals import flatten_layers


@contextmanager
def growth_disabled(model: keras.Model) -> Iterator[keras.Model]:
    """Make a grown model exactly its base inside a `with` block.

    The slices are not computed, and LoRA kernels that train beside them are
    switched off too. Functions that Keras compiled (`predict`, `evaluate`,
    `generate`) are kept for both states, so each is compiled at most once per
    state, however often the growth is switched. A function that you compiled
    yourself, with `jax.jit` for instance, keeps the state in which it was
    traced. Not safe for two threads that use the model at once.

    Args:
        model: a grown KerasHub task or backbone, or a Keras model that holds
            one. Pass the model that you call inside the block.

    Yields:
        `model`.

    Raises:
        ValueError: if the model is not grown.
        RuntimeError: if the model is trained inside the block.

    Example:

    ```python
    with keras_grow.growth_disabled(lm):
        lm.generate("What the base says:")
    ```
    """
    switches = _switches(model)
    if not switches:
        grown_state(model)
    before = [getattr(layer, name) for layer, name in switches]
    if not any(before):
        yield model
        return
    sync(model)
    for layer, name in switches:
        setattr(layer, name, False)
    sync(model)
    try:
        with _training_refused(models_in(model)):
            yield model
    finally:
        for (layer, name), value in zip(switches, before, strict=True):
            setattr(layer, name, value)
        sync(model)


def is_switchable(model: keras.Model) -> bool:
    """Whether `growth_disabled` makes this model its base."""
    return bool(_switches(model))


def check_switched_on(model: keras.Model) -> None:
    """Refuse a model inside `growth_disabled`."""
    if not all(getattr(layer, name) for layer, name in _switches(model)):
        raise ValueError(
            "Expected a grown model that is switched on. Received: "
            f"`{model.name}` inside `growth_disabled`. Leave the `with` "
            "block first."
        )


def _switches(model: keras.Model) -> list[tuple[Any, str]]:
    """Every flag that turns growth, or LoRA beside it, on and off."""
    layers = flatten_layers(model)
    grown = [
        (layer, "growth_enabled")
        for layer in layers
        if hasattr(layer, "growth_enabled")
    ]
    lora = [
        (layer, "lora_enabled")
        for layer in layers
        if getattr(layer, "lora_enabled", False)
    ]
    return grown + lora if grown else []


@contextmanager
def _training_refused(models: Sequence[keras.Model]) -> Iterator[None]:
    """Let `fit` fail before it starts."""
    # On JAX a step that fails takes the weights with it.
    with ExitStack() as held:
        for model in models:
            refused = methods_replaced(
                model, make_train_function=_refuse_training
            )
            held.enter_context(refused)
        yield


def _refuse_training(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(
        "Expected training outside of `growth_disabled(model)`: with growth "
        "switched off no weight of the model trains. Leave the `with` block."
    )

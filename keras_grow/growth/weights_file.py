"""Weights files are checked in full before anything is loaded from them.

Keras records what a layer refuses and continues with the next one, so a model
whose loading fails would have half of another model's weights.
"""

import contextlib
import functools
import os
import warnings
from collections.abc import Iterator
from typing import Any

import keras
from keras.layers import Layer

from keras_grow.growth.compiled import methods_replaced
from keras_grow.growth.compiled import with_inner
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import own_variables
from keras_grow.keras_internals import stored_shape
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.signature import check_signature

_WITH_OWN_FORMAT = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Embedding,
)


def is_read_by_layer(filepath: str | os.PathLike[str]) -> bool:
    """Whether Keras gives each layer its own part of a file."""
    return str(filepath).endswith((".keras", ".weights.h5", ".weights.json"))


@contextlib.contextmanager
def only_checked(model: keras.Model) -> Iterator[None]:
    """Let `load_weights` inside the block check a file, and load nothing."""
    optimizers = with_inner(getattr(model, "optimizer", None))
    parts = [*flatten_layers(model), *optimizers]
    with contextlib.ExitStack() as held:
        for part in parts:
            check = functools.partial(_check, part)
            held.enter_context(methods_replaced(part, load_own_variables=check))
        held.enter_context(warnings.catch_warnings())
        # The load that follows says the same.
        warnings.simplefilter("ignore")
        yield


def _check(part: Any, store: Any) -> None:
    """Refuse what a layer could not load."""
    if isinstance(part, GrowableDense):
        check_signature(part, store)
    elif isinstance(part, Layer) and _loads_in_order(part):
        found = sorted(stored_shape(store, key) for key in store.keys())  # noqa: SIM118
        own = sorted(tuple(weight.shape) for weight in own_variables(part))
        if found != own:
            raise ValueError(
                f"Expected weights for `{part.path}`, of the shapes {own}. "
                f"Received: weights of the shapes {found}."
            )


def _loads_in_order(layer: Layer) -> bool:
    """Whether a layer loads each of its variables, and nothing else."""
    if type(layer).load_own_variables is Layer.load_own_variables:
        return True
    return (
        isinstance(layer, _WITH_OWN_FORMAT)
        and layer.quantization_mode is None
        and not layer.lora_enabled
    )

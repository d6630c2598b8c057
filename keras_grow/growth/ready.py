"""Check before every `fit` that the newest growth may train as things are."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_grow.growth.compiled import with_inner
from keras_grow.growth.state import ModelState


def check_ready(state: ModelState) -> None:
    """Refuse to train a growth that is off, or with other growths beneath it.

    Its config says which growths, at which scales, are `beneath` it; it is
    saved, loaded and routed with these. Trained over others, it would compute
    something else wherever it is loaded. The config is not simply changed to
    what is active at the first step: neither a model nor a file says whether a
    growth has trained, and an anchor may hold predictions of the old state. A
    new growth on top of what is active costs nothing.
    """
    if not state.growths:
        return
    growth, scales = state.growths[-1], state.scales
    if not scales.pop(growth.name):
        raise RuntimeError(
            f"Expected the growth that trains, {growth.name!r}, to be active. "
            f"Received: scales={state.scales}. Call "
            f"`keras_grow.set_growths(model, {growth.name!r})` first."
        )
    beneath = dict(growth.beneath)
    same = [
        # A scale that was stored may have the digits of float32 alone.
        math.isclose(scale, beneath.get(name, 0.0), rel_tol=1e-6)
        for name, scale in scales.items()
    ]
    if not all(same):
        active = {name: scale for name, scale in scales.items() if scale}
        raise ValueError(
            f"Expected the growth that trains, {growth.name!r}, over the "
            f"growths that it lies on, and no others: {beneath}. Received: "
            f"{active}. Call `keras_grow.set_growths(model, {growth.name!r})` "
            "to train it on these. To train on top of what is active now, grow "
            "the model again with `keras_grow.grow_model`."
        )


def check_moves(optimizer: Any, variables: Sequence[keras.Variable]) -> None:
    """Refuse an Adam that would change no variable of a low precision.

    Keras' Adam computes in the dtype of each variable. There `beta_2` may be 1,
    and with it every step is zero.
    """
    for inner in with_inner(optimizer):
        beta = getattr(inner, "beta_2", 0.0)
        for dtype in {str(variable.dtype) for variable in variables}:
            if float(ops.cast(ops.cast(beta, dtype), "float32")) == 1.0:
                raise ValueError(
                    f"Expected an optimizer that moves {dtype} variables. "
                    f"Received: {inner.name!r} with beta_2={beta}, which is 1 "
                    f"in {dtype}: every step would be zero. Grow with "
                    '`slice_dtype="float32"`, the default, or compile with '
                    "`beta_2=0.99`."
                )

"""Whether `fit` is running on a model's weights right now.

While `fit`, `evaluate` or `predict` runs, its compiled function fits the layers
that the model had at the start. On JAX the loop also holds the weights from the
first batch of an epoch to the last: the model's variables are empty. Keras
records neither on the model, and another task over the same backbone does not
know. But a callback always runs inside the loop, so the loop is on the stack.
"""

import sys
from types import FrameType

import keras

from keras_grow.keras_internals import has_value

_LOOPS = (
    "fit",
    "evaluate",
    "predict",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
)


def loop_over(model: keras.Model) -> str | None:
    """Name a Keras loop that is running on any of a model's weights.

    It is `"fit"`, `"evaluate"`, `"predict"` or one of their `_on_batch` forms,
    in any thread. Loops of other models count that share a weight with it: a
    sibling task over the same backbone, a model around it, or a part of it.
    """
    weights = {id(variable) for variable in model.variables}
    for frame in _frames():
        name = frame.f_code.co_name
        if name not in _LOOPS:
            continue
        running = frame.f_locals.get("self")
        if isinstance(running, keras.Model) and any(
            id(variable) in weights for variable in running.variables
        ):
            return name
    return None


def check_not_in_fit(model: keras.Model, what: str) -> None:
    """Refuse to change a model that a Keras loop is running on.

    Call it before the first change.
    """
    loop = loop_over(model)
    if loop is not None:
        raise ValueError(
            f"`{what}` changes the layers that a running `{loop}` was compiled "
            "for, and the weights would be lost. Received: a model inside "
            f"`{loop}`, its own or that of a model with the same weights. End "
            f"the `{loop}` first (in a callback: `self.model.stop_training = "
            "True`), make the change, and call it again."
        )


def check_readable(model: keras.Model, what: str) -> None:
    """Refuse to read weights that a running loop holds on JAX."""
    if keras.config.backend() != "jax":
        return
    missing = [
        variable.path for variable in model.variables if not has_value(variable)
    ]
    if not missing:
        return
    loop = loop_over(model)
    if loop is None:
        raise ValueError(
            f"`{what}` reads the weights of a model. Received: a model without "
            f"a value for `{missing[0]}`: a step of `fit` that failed on JAX "
            "lost them. Load the model again."
        )
    raise ValueError(
        f"`{what}` reads the weights of a model, and on JAX a running "
        f"`{loop}` holds them from the first batch of an epoch to the last. "
        f"Received: a model without a value for `{missing[0]}`. Use it in "
        "`on_epoch_end` or through "
        "`keras_grow.evaluation.EvaluateDuringFit`, or call "
        "`self.model.jax_state_sync()` in the callback first."
    )


def _frames() -> "list[FrameType]":
    """Every frame of every thread: some callbacks run in another."""
    found = []
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            found.append(frame)
            frame = frame.f_back
    return found

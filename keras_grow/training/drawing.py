"""Which Keras loop draws from a data set: Keras does not tell it."""

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import keras

from keras_grow.keras_internals import OF_DATA_ADAPTERS


def check_loop(kind: Any, shuffle: bool, batches: int) -> None:
    """Refuse a loop that would draw other rows than its user expects.

    Called by `LengthBuckets`, the `kind`, when an epoch begins. The loop is on
    the stack.
    """
    loop, arguments = _innermost_loop()
    # Keras would draw these only when the epoch is over.
    later = arguments.get("validation_data") if loop == "fit" else None
    later_shuffles = isinstance(later, kind) and later.shuffle
    if later_shuffles or (loop == "evaluate" and shuffle):
        raise ValueError(
            "Expected `LengthBuckets(..., shuffle=False)` in `evaluate` and as "
            "`validation_data`: the means over other batches are not those of "
            "the rows. Received: shuffle=True"
        )
    steps = arguments.get("steps_per_epoch")
    if loop == "fit" and steps is not None and steps < batches:
        raise ValueError(
            "Expected `steps_per_epoch` as an argument of `LengthBuckets`, "
            "which goes on from epoch to epoch. Received: `fit` with "
            f"steps_per_epoch={steps} of {batches} batches, which would begin "
            "each epoch with the same rows."
        )


def reads_shapes() -> bool:
    """Whether Keras reads a batch only to learn the shapes of all."""
    # On TensorFlow alone, before it draws.
    return any(frame.f_code.co_name in OF_DATA_ADAPTERS for frame in _stack())


def _innermost_loop() -> tuple[str, dict[str, Any]]:
    """The name and the variables of the loop; empty outside of one."""
    for frame in _stack():
        name = frame.f_code.co_name
        if name in ("fit", "evaluate"):
            found = frame.f_locals
            if isinstance(found.get("self"), keras.Model):
                return name, found
    return "", {}


def _stack() -> Iterator[FrameType]:
    """The frames of this thread, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back

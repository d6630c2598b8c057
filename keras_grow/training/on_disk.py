"""Weights that are on disk for a while instead of in memory."""

import os
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from keras_grow.keras_internals import empty_variable
from keras_grow.keras_internals import fill_variable
from keras_grow.saving.fingerprint import stored_array


@contextmanager
def on_disk(
    variables: Sequence[keras.Variable], folder: str | os.PathLike[str]
) -> Iterator[None]:
    """Keep the values of variables on disk inside a `with` block.

    They are in a folder inside `folder` that is removed at the end. Nothing
    that holds one of them can be used meanwhile. On TensorFlow, functions
    compiled over them keep them in memory: discard those first.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="below-") as place:
        shapes = []
        for number, variable in enumerate(variables):
            array = stored_array(variable)
            array.tofile(Path(place) / str(number))
            shapes.append((array.dtype, array.shape))
        try:
            for variable in variables:
                empty_variable(variable)
            yield
        finally:
            for number, (dtype, shape) in enumerate(shapes):
                raw = np.fromfile(Path(place) / str(number), dtype="uint8")
                fill_variable(variables[number], raw.view(dtype).reshape(shape))

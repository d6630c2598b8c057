"""A fingerprint of the base weights: which model does a growth belong to?"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from keras_grow.growth.families import backbone_of
from keras_grow.growth.grown import grown_layers
from keras_grow.growth.grown import growths_of

CHUNK = 1 << 26


def base_fingerprint(model: keras.Model) -> str:
    """Hash every weight of the base of a model, grown or not.

    Covers name, shape, dtype and every byte of every variable but for slices
    and LoRA kernels, and is the same on every backend.

    Args:
        model: a KerasHub task or backbone.

    Returns:
        SHA-256, as 64 hexadecimal digits.

    Example:

    ```python
    before = base_fingerprint(lm)
    keras_grow.grow_model(lm)
    assert base_fingerprint(lm) == before
    ```
    """
    backbone = backbone_of(model)
    added = {
        id(weight)
        for layer in (grown_layers(backbone) if growths_of(backbone) else [])
        for new in layer.slices
        for weight in new.weights
    }
    weights = [
        weight
        for weight in backbone.weights
        if id(weight) not in added and "lora_kernel" not in weight.name
    ]
    # Hashing releases the interpreter lock.
    with ThreadPoolExecutor() as pool:
        rows = [
            (
                weight.path,
                [pool.submit(_sha256, part) for part in _parts(weight)],
            )
            for weight in weights
        ]
        digests = sorted(
            (path, [part.result() for part in parts]) for path, parts in rows
        )
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def stored_array(variable: Any) -> np.ndarray:
    """The value of a variable, in the dtype in which it is stored."""
    array = ops.convert_to_numpy(variable)
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        # Keras returns float32 where the backend has no such NumPy dtype.
        array = array.astype(ml_dtypes.bfloat16)
    return np.asarray(array, order="C")


def _parts(variable: Any) -> list[Any]:
    """The dtype, shape and bytes of a variable, cut for several threads."""
    array = stored_array(variable)
    data = array.reshape(-1).view(np.uint8)
    head = f"{array.dtype} {array.shape}".encode()
    return [head, *(data[i : i + CHUNK] for i in range(0, len(data), CHUNK))]


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()

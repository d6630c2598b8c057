"""The plain KerasHub model to export."""

from typing import Any

import keras
import numpy as np

from keras_grow.growth.families import backbone_of
from keras_grow.growth.merge import merge_growth
from keras_grow.growth.state import growths_of
from keras_grow.keras_internals import flatten_layers

DTYPES = ("float32", "bfloat16", "float16")


def plain_model(model: keras.Model, dtype: str | None = None) -> keras.Model:
    """Return the model in its current state, merged, without keras_grow."""
    backbone = backbone_of(model)
    if growths_of(model):
        return merge_growth(model, dtype=dtype)
    for layer in flatten_layers(backbone):
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                "Expected a float model to export. Received: "
                f"`{layer.path}` in {layer.quantization_mode}. Export the "
                "model before `quantize`, or load it again."
            )
    return model


def export_dtype(model: keras.Model, dtype: str | None) -> str:
    """The dtype of the files: the one asked for, or that of the weights."""
    name = dtype
    if name is None:
        name = str(backbone_of(model).variable_dtype)
    if name not in DTYPES:
        raise ValueError(
            f"Expected `dtype` to be one of {', '.join(DTYPES)}. "
            f"Received: dtype={name!r}"
        )
    return name


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of that name; bfloat16 comes from `ml_dtypes`."""
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)

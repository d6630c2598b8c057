"""Frozen layers in int8, by Keras' own quantization of their weights."""

from typing import Any

import keras
from keras import ops

from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import kernel_scale
from keras_grow.keras_internals import kernel_variable


def float_kernel(layer: keras.layers.Layer) -> Any:
    """The kernel of a dense layer; one in int8 is dequantized to float32."""
    if layer.quantization_mode is None:
        return layer.kernel
    scale = kernel_scale(layer)
    return ops.cast(kernel_variable(layer), "float32") / scale


def weights_only(layer: keras.layers.Layer) -> bool:
    """Whether a layer is in float, or in int8 with inputs left in float."""
    if layer.quantization_mode is None:
        return True
    return is_int8(layer) and layer.inputs_quantizer is None


def is_int8(layer: keras.layers.Layer) -> bool:
    """Whether a layer is in int8, its inputs too or not."""
    return bool(layer.quantization_mode == "int8")


def quantized_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every quantized layer inside a model."""
    return [
        layer
        for layer in flatten_layers(model)
        if getattr(layer, "quantization_mode", None) is not None
    ]

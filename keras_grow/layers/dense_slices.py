"""What a grown layer needs from the dense layers in it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_grow.layers import expand
from keras_grow.layers.int8 import float_kernel

Dense = keras.layers.Dense


EinsumDense = keras.layers.EinsumDense


def check_growable(layer: Any) -> None:
    """Refuse a layer that `GrowableDense` cannot replace.

    It replaces a `Dense`, or an `EinsumDense` that multiplies the last axis of
    its input by a matrix.
    """
    if isinstance(layer, Dense):
        return
    if isinstance(layer, EinsumDense):
        inputs, _, rest = layer.equation.partition(",")
        kernel, _, output = rest.partition("->")
        if (
            len(kernel) == 2
            and inputs.endswith(kernel[0])
            and output.endswith(kernel[1])
            and layer.bias_axes in (None, kernel[1])
        ):
            return
        raise ValueError(
            "Expected an `EinsumDense` with a kernel of two dimensions that "
            "maps the last axis of its input to the last axis of its output, "
            'such as equation="btd,df->btf", and at most one bias per feature. '
            f"Received: equation={layer.equation!r}, "
            f"bias_axes={layer.bias_axes!r}"
        )
    raise ValueError(
        "Expected a `keras.layers.Dense` or `keras.layers.EinsumDense` layer. "
        f"Received: {layer!r} (of type {type(layer)})"
    )


def slice_like(
    layer: keras.layers.Layer,
    grows: str,
    width: int,
    name: str,
    slice_dtype: str = "float32",
) -> keras.layers.Layer:
    """An unbuilt layer of `layer`'s kind that adds `width` neurons to it.

    `grows="output"`: the slice has `width` columns, and the base's activation,
    and a bias where the base has one. `grows="input"`: the slice has no bias
    and no activation, which stay with the base. Kernel and bias are built as
    zeros, in float32 or the dtype that the base computes in.
    """
    config = layer.get_config()
    compute = layer.compute_dtype
    policy = compute if slice_dtype == compute else f"mixed_{compute}"
    config.update(name=name, dtype=policy, trainable=True)
    config.update(kernel_initializer="zeros", bias_initializer="zeros")
    for key in ("lora_rank", "lora_alpha", "quantization_config"):
        config.pop(key, None)
    up = grows == "output"
    if not up:
        config["activation"] = None
    if isinstance(layer, EinsumDense):
        if up:
            config["output_shape"] = (*config["output_shape"][:-1], width)
        else:
            config["bias_axes"] = None
    elif up:
        config["units"] = width
    else:
        config["use_bias"] = False
    return layer.__class__.from_config(config)


def scaled(outputs: Any, scale: Any) -> Any:
    """Outputs times a scale: a number, a scalar, or one per row of a batch."""
    if isinstance(scale, float) and scale == 1.0:
        return outputs
    scale = ops.cast(scale, outputs.dtype)
    if len(scale.shape) == 0:
        return outputs * scale
    # Of `[rows, positions, features]`, which some layers flatten.
    rows = ops.reshape(outputs, (ops.shape(scale)[0], -1))
    return ops.reshape(rows * scale[:, None], ops.shape(outputs))


def split(inputs: Any, widths: Sequence[int]) -> list[Any]:
    """`inputs` in parts of `widths` along the last axis.

    The gradient of a split is one concatenation; that of slices is a sum of
    padded tensors. On torch a number of parts, unlike offsets, needs no
    synchronization with the device.
    """
    even = len(set(widths)) == 1
    how = len(widths) if even else expand.offsets(widths)[1:-1]
    return list(ops.split(inputs, how, axis=-1))


def apply(layer: keras.layers.Layer, inputs: Any, training: bool | None) -> Any:
    """`layer(inputs)`, with all positions along one axis in training.

    A kernel's gradient sums over the positions. Where they lie along more than
    one axis, XLA transposes the wide activations before it multiplies, and
    TensorFlow sums a gradient for each row of the batch. Outside training a
    slice multiplies in the shape of the base, because TensorFlow rounds a
    matrix and a batch of matrices differently.
    """
    shape = ops.shape(inputs)
    if not training or len(shape) < 3:
        return layer(inputs)
    ones = (1,) * (len(shape) - 2)
    rows = layer(ops.reshape(inputs, (*ones, -1, shape[-1])))
    return ops.reshape(rows, (*shape[:-1], rows.shape[-1]))


def multiply(layer: keras.layers.Layer, inputs: Any) -> Any:
    """`inputs @ kernel`, before the layer's bias and activation."""
    plain = layer.bias is None and layer.activation in (
        None,
        keras.activations.linear,
    )
    if plain:
        return layer(inputs)
    if isinstance(layer, EinsumDense):
        return ops.einsum(layer.equation, inputs, float_kernel(layer))
    return ops.matmul(inputs, float_kernel(layer))


def multiply_sum(
    layer: keras.layers.Layer, parts: Sequence[tuple[Any, Any]]
) -> Any:
    """A sum of inputs, each times its scale, through `multiply` at once."""
    if len(parts) == 1:
        # Scaled after it, where there is less to scale.
        [(inputs, scale)] = parts
        return scaled(multiply(layer, inputs), scale)
    first, *others = [scaled(inputs, scale) for inputs, scale in parts]
    return multiply(layer, sum(others, first))


def float_policy(layer: keras.layers.Layer) -> str:
    """Name of the float dtype policy under a possibly quantized layer."""
    policy = layer.dtype_policy
    if layer.quantization_mode is None:
        return str(policy.name)
    return str(policy.compute_dtype)


def stay_float(*args: Any, **kwargs: Any) -> None:
    """Replaces `Layer.quantize`: what trains is left in float."""

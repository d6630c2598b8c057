"""A dense layer that grows along one axis by slices that stay apart."""

import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_grow.layers import expand
from keras_grow.layers.folded_dense import Fold
from keras_grow.layers.int8 import float_kernel

Dense = keras.layers.Dense
EinsumDense = keras.layers.EinsumDense
_SIGNATURE = "growth"


@keras.saving.register_keras_serializable(package="keras_grow")
class GrowableDense(keras.layers.Layer):
    """A `Dense` or `EinsumDense` with further slices, each with a dial.

    An MLP grows in a pair: its up-projections along their output axis, its
    down-projection along its input axis. Both halves are this class. The layer
    that stood there, the base, is kept whole and unscaled, and every slice is
    a layer with variables of its own. A frozen slice therefore has no
    gradient, no optimizer moments and no weight decay.

    Slice `i` belongs to a growth with the scale `s_i`, and took the share
    `c_i` of the base when it was made. With the base's activations `h_0` and
    those of the slices `h_i`, the pair computes

        [h_0 | h_1 | ...] = act(base(x) | slice_1(x) | ...)       (output)
        y = (1 - sum_i s_i c_i) W h_0 + sum_i s_i V_i h_i         (input)

    where bias and activation of the down-projection are the base's and come
    last. A slice at scale 0 is not computed. The newest slice is added first,
    so that a slice that starts as a copy of the base joins the base's share
    before anything else and leaves every bit of the sum as it was.

    `grow_mlp` and `grow_model` make these layers; the paper's equations are in
    section 3 of arXiv 2603.08647.

    Args:
        base: a `Dense`, or an `EinsumDense` with a kernel of two dimensions
            that maps the last axis of its input to the last axis of its
            output.
        grows: `"output"` (up-projection) or `"input"` (down-projection).
        slices: layers of the base's kind, oldest first; for G-Train a
            `CopiedDense` (output) or a `Fold` (input).
        slice_widths: for each slice, the number of neurons that it adds.
        base_shares: for each slice, the share `c_i`. Defaults to zeros.
        scales: for each slice, the scale `s_i`. Defaults to ones.
        **kwargs: see `keras.layers.Layer`.

    Raises:
        ValueError: if `base` is of another kind, or `grows` is unknown.

    Example:

    ```python
    import keras
    from keras_grow.layers import GrowableDense

    layer = GrowableDense(
        keras.layers.Dense(4, activation="relu"),
        grows="output",
        slices=[keras.layers.Dense(4, activation="relu")],
        slice_widths=[4],
    )
    layer(keras.ops.ones((2, 3))).shape  # (2, 8)
    ```
    """

    def __init__(
        self,
        base: keras.layers.Layer,
        grows: str,
        slices: Sequence[keras.layers.Layer] = (),
        slice_widths: Sequence[int] = (),
        base_shares: Sequence[float] | None = None,
        scales: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        check_growable(base)
        if grows not in ("output", "input"):
            raise ValueError(
                'Expected `grows` to be "output" (up-projection) or "input" '
                f"(down-projection). Received: grows={grows!r}"
            )
        count = len(slices)
        base_shares = [0.0] * count if base_shares is None else base_shares
        scales = [1.0] * count if scales is None else scales
        if not count == len(slice_widths) == len(base_shares) == len(scales):
            raise ValueError(
                "Expected one width, share and scale per slice. Received: "
                f"{count} slices, slice_widths={list(slice_widths)}, "
                f"base_shares={list(base_shares)}, scales={list(scales)}"
            )
        kwargs.setdefault("name", base.name)
        kwargs.setdefault("dtype", keras.DTypePolicy(_float_policy(base)))
        super().__init__(**kwargs)
        self.base = base
        self.grows = grows
        self.slices = list(slices)
        self.slice_widths = tuple(slice_widths)
        self.base_shares = tuple(float(share) for share in base_shares)
        self.scale_variables = [
            self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(scale),
                dtype="float32",
                trainable=False,
                autocast=False,
                name=f"{layer.name}_scale",
            )
            for layer, scale in zip(self.slices, scales, strict=True)
            if grows == "input"
        ]
        self._note_scales(scales)
        self.growth_enabled = True
        for layer in self.slices:
            # Keras' `quantize` of a model visits every layer in it.
            layer.quantize = _stay_float
        if base.built and all(layer.built for layer in self.slices):
            self.built = True

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build the base and the slices for inputs of `input_shape`."""
        widths = [input_shape[-1]] * (1 + len(self.slices))
        if self.grows == "input":
            rest = sum(self.slice_widths)
            widths = [input_shape[-1] - rest, *self.slice_widths]
        layers = [self.base, *self.slices]
        for layer, width in zip(layers, widths, strict=True):
            if not layer.built:
                layer.build((*input_shape[:-1], width))
        self.built = True

    @property
    def base_width(self) -> int:
        """Neurons of the base: its columns (output) or rows (input)."""
        axis = 1 if self.grows == "output" else 0
        return int(self.base.kernel.shape[axis])

    @property
    def width(self) -> int:
        """Neurons that are computed: of the base and the active slices."""
        return sum(self._widths())

    @property
    def scales(self) -> tuple[float, ...]:
        """The scale of each slice."""
        return self._scales

    def set_scales(self, scales: Sequence[float]) -> None:
        """Turn the dial of every slice; both halves of a pair are set alike.

        Args:
            scales: a number for each slice, oldest first. At 0 a slice is not
                computed. A scale is a variable: as long as the same slices
                are computed, nothing that was compiled goes stale.
        """
        for variable, scale in zip(self.scale_variables, scales, strict=False):
            variable.assign(scale)
        self._note_scales(scales)

    def _note_scales(self, scales: Sequence[float]) -> None:
        """Decide what is computed: which slices, and whether the base."""
        # Private: what is compiled must not depend on the numbers.
        self._scales = tuple(float(scale) for scale in scales)
        self.active = tuple(scale != 0.0 for scale in self._scales)
        # G-Train alone, switched on fully, stands in for the base.
        left = 1.0 - sum(
            scale * share
            for scale, share in zip(self._scales, self.base_shares, strict=True)
        )
        replaced = any(
            scale == share == 1.0
            for scale, share in zip(self._scales, self.base_shares, strict=True)
        )
        self.base_active = not (replaced and left == 0.0)

    def _active_slices(self) -> list[int]:
        return [index for index, on in enumerate(self.active) if on]

    def _widths(self) -> list[int]:
        """Widths of what is computed, the base first."""
        slices = [self.slice_widths[i] for i in self._active_slices()]
        return [self.base_width] * self.base_active + slices

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the base and the active slices, or while off the base."""
        if not self.growth_enabled or not any(self.active):
            return self.base(inputs)
        if self.grows == "output":
            return self._up(inputs, training)
        return self._down(inputs, training)

    def _up(self, inputs: Any, training: bool | None) -> Any:
        outputs = [self.base(inputs)] if self.base_active else []
        outputs += [
            _apply(self.slices[index], inputs, training)
            for index in self._active_slices()
        ]
        if len(outputs) == 1:
            return outputs[0]
        return ops.concatenate(outputs, axis=-1)

    def _down(self, inputs: Any, training: bool | None) -> Any:
        parts = _split(inputs, self._widths())
        active = self._active_slices()
        outputs = None
        if self.base_active:
            outputs = _product(self.base, parts.pop(0))
            if any(self.base_shares[index] for index in active):
                left = ops.cast(self._left_of_base(), outputs.dtype)
                outputs = outputs * left
        for index, part in reversed(list(zip(active, parts, strict=True))):
            product = self._slice_product(index, part, training)
            scale = self.scale_variables[index]
            product = product * ops.cast(scale, product.dtype)
            outputs = product if outputs is None else outputs + product
        if self.base.bias is not None:
            outputs = outputs + self.base.bias
        if self.base.activation is not None:
            outputs = self.base.activation(outputs)
        return outputs

    def _left_of_base(self) -> Any:
        """The factor on the base's product, a float32 scalar."""
        left = 1.0
        for index in self._active_slices():
            share = self.base_shares[index]
            if share:
                left = left - share * self.scale_variables[index]
        return left

    def _slice_product(
        self, index: int, inputs: Any, training: bool | None
    ) -> Any:
        layer = self.slices[index]
        if isinstance(layer, Fold):
            return _product(self.base, layer(inputs))
        return _apply(layer, inputs, training)

    def merged_kernel(self) -> Any:
        """The one kernel that does what base and slices do together.

        Returns:
            Array `[h, width]` (`grows="output"`) or `[width, h]`
            (`grows="input"`), in float32, of what is active.
        """
        base = ops.cast(float_kernel(self.base), "float32")
        parts = []
        if self.base_active:
            kept = self.grows == "output"
            parts.append(base if kept else base * self._left_of_base())
        for index in self._active_slices():
            layer = self.slices[index]
            if self.grows == "output":
                parts.append(ops.cast(layer.kernel, "float32"))
                continue
            if isinstance(layer, Fold):
                kernel = expand.share_rows(base, layer.neuron_shares)
            else:
                kernel = ops.cast(layer.kernel, "float32")
            parts.append(kernel * self.scale_variables[index])
        return ops.concatenate(parts, axis=1 if self.grows == "output" else 0)

    @property
    def kernel(self) -> Any:
        """The kernel that a caller multiplies with who does not call us.

        Gemma 4 does. One product rounds in another way than one per slice, so
        there a growth preserves the function to about 1e-5 and not to the bit.
        """
        if not self.growth_enabled or not any(self.active):
            return float_kernel(self.base)
        return ops.cast(self.merged_kernel(), self.compute_dtype)

    def merged_bias(self) -> Any:
        """The bias that belongs to `merged_kernel`, or None.

        Returns:
            Array `[width]` (`grows="output"`) or `[h]` (`grows="input"`), in
            float32, or None where the base has no bias.
        """
        if self.base.bias is None:
            return None
        base = ops.cast(self.base.bias, "float32")
        if self.grows == "input":
            return base
        parts = [base] if self.base_active else []
        parts += [
            ops.cast(self.slices[index].bias, "float32")
            for index in self._active_slices()
        ]
        return ops.concatenate(parts, axis=-1)

    def compute_output_shape(
        self, input_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `input_shape`."""
        last = self.base.compute_output_shape(tuple(input_shape))[-1]
        if self.grows == "output" and self.growth_enabled:
            last = sum(self._widths())
        return (*tuple(input_shape)[:-1], last)

    def save_own_variables(self, store: Any) -> None:
        """Write down what the weights below this layer are the weights of."""
        text = json.dumps(self._signature())
        store[_SIGNATURE] = np.frombuffer(text.encode(), "uint8")

    def load_own_variables(self, store: Any) -> None:
        """Refuse the weights of another growth."""
        own = json.dumps(self._signature())
        found = "no growth"
        if _SIGNATURE in store.keys():  # noqa: SIM118
            found = bytes(np.asarray(store[_SIGNATURE], "uint8")).decode()
        if found != own:
            raise ValueError(
                f"Expected weights of the growth that `{self.path}` has, "
                f"{own}. Received: weights of {found}. Grow the model with the "
                "same arguments, and set the same scales, before loading."
            )

    def _signature(self) -> dict[str, Any]:
        """What the variables do not say of a growth."""
        return {
            "slices": [layer.name for layer in self.slices],
            "widths": list(self.slice_widths),
            "base_shares": list(self.base_shares),
            "scales": list(self._scales),
            "folds": [
                [layer.factor, layer.shares]
                for layer in self.slices
                if isinstance(layer, Fold)
            ],
        }

    def get_config(self) -> dict[str, Any]:
        """Configuration that `from_config` takes."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "base": serialize(self.base),
            "grows": self.grows,
            "slices": [serialize(layer) for layer in self.slices],
            "slice_widths": list(self.slice_widths),
            "base_shares": list(self.base_shares),
            "scales": list(self._scales),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "GrowableDense":
        """Make the layer from what `get_config` returned."""
        deserialize = keras.saving.deserialize_keras_object
        config = {
            **config,
            "base": deserialize(config["base"]),
            "slices": [deserialize(layer) for layer in config["slices"]],
        }
        return cls(**config)


def check_growable(layer: Any) -> None:
    """Refuse a layer that `GrowableDense` cannot stand in for.

    Raises:
        ValueError: unless `layer` is a `Dense`, or an `EinsumDense` that
            multiplies the last axis of its input by a matrix.
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
            'such as equation="btd,df->btf", and at most one bias a feature. '
            f"Received: equation={layer.equation!r}, "
            f"bias_axes={layer.bias_axes!r}"
        )
    raise ValueError(
        "Expected a `keras.layers.Dense` or `keras.layers.EinsumDense` layer. "
        f"Received: {layer!r} (of type {type(layer)})"
    )


def _stay_float(*args: Any, **kwargs: Any) -> None:
    """In place of `Layer.quantize`: what trains stays as it is."""


def base_of(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer that stood in the place of `layer` before it grew."""
    return layer.base if isinstance(layer, GrowableDense) else layer


def slice_like(
    layer: keras.layers.Layer,
    grows: str,
    width: int,
    name: str,
    slice_dtype: str = "float32",
) -> keras.layers.Layer:
    """An unbuilt layer of `layer`'s kind that adds `width` neurons to it.

    Args:
        layer: the base, a `Dense` or `EinsumDense`.
        grows: `"output"`: the slice has `width` columns, and the base's
            activation, and a bias where the base has one. `"input"`: the
            slice has no bias and no activation, they stay the base's.
        width: number of neurons.
        name: name of the new layer.
        slice_dtype: dtype of its variables: `"float32"`, or the dtype that
            the base computes in.

    Returns:
        The layer, whose kernel and bias will be zero when it is built.
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


def _split(inputs: Any, widths: Sequence[int]) -> list[Any]:
    """`inputs` in parts of `widths` along the last axis.

    The gradient of a split is one concatenation, that of slices a sum of
    padded tensors. A number of parts, unlike offsets, costs torch no wait for
    its device.
    """
    even = len(set(widths)) == 1
    how = len(widths) if even else expand.offsets(widths)[1:-1]
    return list(ops.split(inputs, how, axis=-1))


def _apply(
    layer: keras.layers.Layer, inputs: Any, training: bool | None
) -> Any:
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


def _product(layer: keras.layers.Layer, inputs: Any) -> Any:
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


def _float_policy(layer: keras.layers.Layer) -> str:
    """Name of the float dtype policy under a possibly quantized layer."""
    policy = layer.dtype_policy
    if layer.quantization_mode is None:
        return str(policy.name)
    return str(policy.compute_dtype)

"""A dense layer that grows along one axis by slices that stay apart."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_grow.layers import expand
from keras_grow.layers.quantised import float_kernel

Dense = keras.layers.Dense
EinsumDense = keras.layers.EinsumDense


@keras.saving.register_keras_serializable(package="keras_grow")
class GrowableDense(keras.layers.Layer):
    """A `Dense` or `EinsumDense` whose kernel has grown by further slices.

    An MLP grows in a pair: its up-projections along their output axis, its
    down-projection along its input axis. Both halves are this class. The layer
    that stood there, the base, is kept whole and unscaled, and every slice is
    a layer with variables of its own. A frozen slice therefore has no
    gradient, no optimizer moments and no weight decay.

    With `grows="output"` the layer returns `[base(x) | slice_1(x) | ...]`.
    With `grows="input"` it takes that apart and returns
    `act(base(x_0) * base_share + slice_1(x_1) + ... + bias)`, where bias and
    activation are the base's. The newest slice is added first, so that a slice
    initialised as a copy of the base joins the base's share before anything
    else and leaves every bit of the sum as it was.

    `grow_mlp` and `grow_model` make these layers; the paper's equations are in
    section 3 of arXiv 2603.08647.

    Args:
        base: a `Dense`, or an `EinsumDense` with a kernel of two dimensions
            that maps the last axis of its input to the last axis of its
            output.
        grows: `"output"` (up-projection) or `"input"` (down-projection).
        slices: layers of the base's kind, oldest first.
        slice_widths: for each slice, the number of neurons that it adds.
        base_share: float, the factor on the base's product when
            `grows="input"`. Defaults to 1.
        fold: `None`, or the number `k` of copies of G-Train. With
            `grows="output"` there are `k` slices then, which stand in for the
            base; it stays as it was. With `grows="input"` there is no slice:
            the copies are summed by their shares and pass the base once.
        shares: `"equal"` or `"unequal"`, see `copy_shares`. Used with `fold`.
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
        base_share: float = 1.0,
        fold: int | None = None,
        shares: str = "equal",
        **kwargs: Any,
    ) -> None:
        check_growable(base)
        if grows not in ("output", "input"):
            raise ValueError(
                'Expected `grows` to be "output" (up-projection) or "input" '
                f"(down-projection). Received: grows={grows!r}"
            )
        if len(slices) != len(slice_widths):
            raise ValueError(
                "Expected one width a slice. Received: "
                f"{len(slices)} slices, slice_widths={list(slice_widths)}"
            )
        kwargs.setdefault("name", base.name)
        kwargs.setdefault("dtype", keras.DTypePolicy(_float_policy(base)))
        super().__init__(**kwargs)
        self.base = base
        self.grows = grows
        self.slices = list(slices)
        self.slice_widths = tuple(slice_widths)
        self.base_share = float(base_share)
        self.fold = fold
        self.shares = shares
        self.growth_enabled = True
        for layer in self.slices:
            # Keras' `quantize` of a model visits every layer in it.
            layer.quantize = _stay_float
        if base.built and all(layer.built for layer in self.slices):
            self.built = True

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build the base and the slices for inputs of `input_shape`."""
        total = input_shape[-1]
        widths = [total] * (1 + len(self.slices))
        if self.grows == "input":
            if self.fold:
                widths = [total // self.fold]
            else:
                widths = [total - sum(self.slice_widths), *self.slice_widths]
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
        """Neurons of the grown layer, those of the base and all slices."""
        if self.fold:
            return self.fold * self.base_width
        return self.base_width + sum(self.slice_widths)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the grown layer, or the base alone while growth is off."""
        if not self.growth_enabled:
            return self.base(inputs)
        if self.grows == "output":
            return self._up(inputs, training)
        return self._down(inputs, training)

    def _up(self, inputs: Any, training: bool | None) -> Any:
        outputs = [_apply(layer, inputs, training) for layer in self.slices]
        if not self.fold:
            outputs.insert(0, self.base(inputs))
        if len(outputs) == 1:
            return outputs[0]
        return ops.concatenate(outputs, axis=-1)

    def _down(self, inputs: Any, training: bool | None) -> Any:
        if self.fold:
            shares = expand.copy_shares(self.fold, self.base_width, self.shares)
            return self.base(expand.fold_copies(inputs, shares))
        parts = _split(inputs, [self.base_width, *self.slice_widths])
        outputs = _product(self.base, parts[0])
        if self.base_share != 1.0:
            outputs = outputs * self.base_share
        for layer, part in reversed(
            list(zip(self.slices, parts[1:], strict=True))
        ):
            outputs = outputs + _apply(layer, part, training)
        if self.base.bias is not None:
            outputs = outputs + self.base.bias
        if self.base.activation is not None:
            outputs = self.base.activation(outputs)
        return outputs

    def merged_kernel(self) -> Any:
        """The one kernel that does what base and slices do together.

        Returns:
            Array `[h, width]` (`grows="output"`) or `[width, h]`
            (`grows="input"`), in float32.
        """
        base = ops.cast(float_kernel(self.base), "float32")
        slices = [ops.cast(layer.kernel, "float32") for layer in self.slices]
        if self.grows == "output":
            return ops.concatenate(
                slices if self.fold else [base, *slices], axis=-1
            )
        if self.fold:
            shares = expand.copy_shares(self.fold, self.base_width, self.shares)
            return expand.share_rows(base, shares)
        return ops.concatenate([base * self.base_share, *slices], axis=0)

    def merged_bias(self) -> Any:
        """The bias that belongs to `merged_kernel`, or None.

        Returns:
            Array `[width]` (`grows="output"`) or `[h]` (`grows="input"`), in
            float32, or None where the base has no bias.
        """
        if self.base.bias is None:
            return None
        if self.grows == "input":
            return ops.cast(self.base.bias, "float32")
        layers = self.slices if self.fold else [self.base, *self.slices]
        return ops.concatenate(
            [ops.cast(layer.bias, "float32") for layer in layers], axis=0
        )

    def compute_output_shape(
        self, input_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `input_shape`."""
        last = self.base.compute_output_shape(tuple(input_shape))[-1]
        if self.grows == "output" and self.growth_enabled:
            last = sum(self.slice_widths) + (0 if self.fold else last)
        return (*tuple(input_shape)[:-1], last)

    def get_config(self) -> dict[str, Any]:
        """Configuration that `from_config` takes."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "base": serialize(self.base),
            "grows": self.grows,
            "slices": [serialize(layer) for layer in self.slices],
            "slice_widths": list(self.slice_widths),
            "base_share": self.base_share,
            "fold": self.fold,
            "shares": self.shares,
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
    """Name of the float dtype policy under a possibly quantised layer."""
    policy = layer.dtype_policy
    if layer.quantization_mode is None:
        return str(policy.name)
    return str(policy.compute_dtype)

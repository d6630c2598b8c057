"""A dense layer that grows along one axis by separate slices."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_grow.layers import expand
from keras_grow.layers.dense_slices import apply
from keras_grow.layers.dense_slices import check_growable
from keras_grow.layers.dense_slices import float_policy
from keras_grow.layers.dense_slices import multiply_sum
from keras_grow.layers.dense_slices import scaled
from keras_grow.layers.dense_slices import split
from keras_grow.layers.dense_slices import stay_float
from keras_grow.layers.folded_dense import Fold
from keras_grow.layers.int8 import float_kernel
from keras_grow.layers.merged import merged_kernel
from keras_grow.layers.signature import load_signature
from keras_grow.layers.signature import write_signature


@keras.saving.register_keras_serializable(package="keras_grow")
class GrowableDense(keras.layers.Layer):
    """A `Dense` or `EinsumDense` with added slices, each with a dial.

    An MLP grows in a pair: its up-projections along their output axis, its
    down-projection along its input axis. Both halves are this class. The
    original layer, the base, is kept whole and unscaled, and every slice is a
    layer with its own variables. A frozen slice therefore has no gradient, no
    optimizer moments and no weight decay.

    Slice `i` belongs to a growth with the scale `s_i`, and took over the share
    `c_i` of the base when it was made. With the base's activations `h_0` and
    those of the slices `h_i`, the pair computes

        [h_0 | h_1 | ...] = act(base(x) | slice_1(x) | ...)       (output)
        y = (1 - sum_i s_i c_i) W h_0 + sum_i s_i V_i h_i         (input)

    where bias and activation of the down-projection are the base's and are
    applied last. A slice at scale 0 is not computed. The newest slice is added
    first, so that a slice that starts as a copy of the base joins the base's
    share before anything else and leaves every bit of the sum as it was (one
    with its own `V` rounds, if it is on top of slices that share the base's).

    `grow_mlp` and `grow_model` make these layers; the paper's equations are in
    section 3 of arXiv 2603.08647.

    Args:
        base: a `Dense`, or an `EinsumDense` with a kernel of two dimensions
            that maps the last axis of its input to the last axis of its
            output.
        grows: `"output"` (up-projection) or `"input"` (down-projection).
        slices: layers of the base's kind, oldest first. `grow_mlp` makes
            those of G-Train, which are of another kind.
        slice_widths: for each slice, the number of neurons that it adds.
        base_shares: for each slice, the share `c_i`. Defaults to zeros.
        scales: for each slice, the scale `s_i`. Defaults to ones.
        **kwargs: see `keras.layers.Layer`.

    Raises:
        ValueError: if `base` is another kind of layer, or `grows` is unknown.

    Example:

    ```python
    import keras
    from keras_grow import GrowableDense

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
        kwargs.setdefault("dtype", keras.DTypePolicy(float_policy(base)))
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
        self.row_scales: Any = None  # `[rows, slices]`, of a batch.
        self.growth_enabled = True
        for layer in self.slices:
            # Keras' `quantize` of a model visits every layer in it.
            layer.quantize = stay_float
        if base.built and all(layer.built for layer in self.slices):
            self.built = True

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build the base and the slices for inputs of `input_shape`."""
        widths = [input_shape[-1]] * (1 + len(self.slices))
        if self.grows == "input":
            rest = sum(self.slice_widths)
            widths = [widths[0] - rest, *self.slice_widths]
        for layer, width in zip([self.base, *self.slices], widths, strict=True):
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
        """Decide what is computed: which slices, and whether the base is."""
        # Private: what is compiled must not depend on the numbers.
        self._scales = tuple(float(scale) for scale in scales)
        self.active = tuple(scale != 0.0 for scale in self._scales)
        replaced = expand.is_replaced(self._scales, self.base_shares)
        self.base_active = not replaced

    def active_slices(self) -> list[int]:
        """Indices of the slices that are computed."""
        return [index for index, on in enumerate(self.active) if on]

    def _widths(self) -> list[int]:
        """Widths of what is computed, the base first."""
        slices = [self.slice_widths[i] for i in self.active_slices()]
        return [self.base_width] * self.base_active + slices

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Apply the base and the active slices; while off, the base alone."""
        if not self.growth_enabled or not any(self.active):
            return self.base(inputs)
        if self.grows == "output":
            return self._up(inputs, training)
        return self._down(inputs, training)

    def _up(self, inputs: Any, training: bool | None) -> Any:
        outputs = [self.base(inputs)] if self.base_active else []
        outputs += [
            apply(self.slices[index], inputs, training)
            for index in self.active_slices()
        ]
        if len(outputs) == 1:
            return outputs[0]
        return ops.concatenate(outputs, axis=-1)

    def _down(self, inputs: Any, training: bool | None) -> Any:
        parts = split(inputs, self._widths())
        through = []
        if self.base_active:
            through.append((parts.pop(0), self.left_of_base()))
        slices = list(zip(self.active_slices(), parts, strict=True))
        # The newest slices that are folded share the base's product.
        while slices and isinstance(self.slices[slices[-1][0]], Fold):
            index, part = slices.pop()
            through.append((self.slices[index](part), self.scale_of(index)))
        products = [multiply_sum(self.base, through)] if through else []
        for index, part in reversed(slices):
            layer, scale = self.slices[index], self.scale_of(index)
            if isinstance(layer, Fold):
                product = multiply_sum(self.base, [(layer(part), scale)])
            else:
                product = scaled(apply(layer, part, training), scale)
            products.append(product)
        outputs = sum(products[1:], products[0])
        if self.base.bias is not None:
            outputs = outputs + self.base.bias
        activation = self.base.activation
        return outputs if activation is None else activation(outputs)

    def left_of_base(self) -> Any:
        """The factor on the base's product: a float32 scalar, or per row."""
        left = 1.0
        for index in self.active_slices():
            if self.base_shares[index]:
                left = left - self.base_shares[index] * self.scale_of(index)
        return left

    def scale_of(self, index: int) -> Any:
        """The scale of a slice: a float32 scalar, or one for each row."""
        if self.row_scales is None:
            return self.scale_variables[index]
        return self.row_scales[:, index]

    @property
    def kernel(self) -> Any:
        """The merged kernel, for callers that multiply with it themselves.

        Gemma 4 does. One product rounds differently from one per slice, so
        there a growth preserves the function to about 1e-5, not to the bit.
        """
        if not self.growth_enabled or not any(self.active):
            return float_kernel(self.base)
        return ops.cast(merged_kernel(self), self.compute_dtype)

    def compute_output_shape(
        self, input_shape: Sequence[int | None]
    ) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `input_shape`."""
        last = self.base.compute_output_shape(tuple(input_shape))[-1]
        if self.grows == "output" and self.growth_enabled:
            last = sum(self._widths())
        return (*tuple(input_shape)[:-1], last)

    def save_own_variables(self, store: Any) -> None:
        """Record which growth the weights below this layer belong to."""
        write_signature(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Refuse the weights of another growth."""
        load_signature(self, store)

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
        base = deserialize(config["base"])
        slices = list(map(deserialize, config["slices"]))
        return cls(**{**config, "base": base, "slices": slices})


def base_layer_of(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer that was in the place of `layer` before it grew."""
    return layer.base if isinstance(layer, GrowableDense) else layer

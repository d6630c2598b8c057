"""One kernel and one bias equivalent to a base and its slices."""

from typing import TYPE_CHECKING
from typing import Any

from keras import ops

from keras_grow.layers import expand
from keras_grow.layers.folded_dense import Fold
from keras_grow.layers.int8 import float_kernel

if TYPE_CHECKING:
    from keras_grow.layers.growable_dense import GrowableDense


def merged_kernel(layer: "GrowableDense") -> Any:
    """The kernel of what is active in `layer`, in float32.

    It is `[h, width]` (`grows="output"`) or `[width, h]` (`grows="input"`).
    """
    up = layer.grows == "output"
    base = ops.cast(float_kernel(layer.base), "float32")
    parts = []
    if layer.base_active:
        parts.append(base if up else base * layer.left_of_base())
    for index in layer.active_slices():
        new = layer.slices[index]
        if up:
            parts.append(ops.cast(new.kernel, "float32"))
            continue
        if isinstance(new, Fold):
            kernel = expand.share_rows(base, new.neuron_shares)
        else:
            kernel = ops.cast(new.kernel, "float32")
        parts.append(kernel * layer.scale_of(index))
    return ops.concatenate(parts, axis=1 if up else 0)


def merged_bias(layer: "GrowableDense") -> Any:
    """The bias that belongs to `merged_kernel`, in float32, if there is one.

    It is `[width]` (`grows="output"`) or `[h]` (`grows="input"`).
    """
    if layer.base.bias is None:
        return None
    base = ops.cast(layer.base.bias, "float32")
    if layer.grows == "input":
        return base
    parts = [base] if layer.base_active else []
    parts += [
        ops.cast(layer.slices[index].bias, "float32")
        for index in layer.active_slices()
    ]
    return ops.concatenate(parts, axis=-1)

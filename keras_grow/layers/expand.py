"""The arithmetic of growing an MLP, as functions of arrays.

Notation of arXiv 2603.08647, section 3: an up-projection `W1 [h, p]`, a
down-projection `W2 [p, h]` and a factor `k >= 2` give

    W1' = [W1 | W1 | ... | W1]            [h, k p]
    W2' = [W2/k ; W2/k ; ... ; W2/k]      [k p, h]
    act(x W1') W2' = act(x W1) W2

The functions here make the parts of `W1'` and `W2'` that a slice holds. They
know nothing about layers and work on the arrays of any Keras backend.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

# An array of the Keras backend in use.
BackendTensor = Any


def copy_columns(kernel: BackendTensor, copies: int) -> BackendTensor:
    """Copies of an up-projection side by side: `[h, p]` to `[h, copies * p]`.

    A bias `[p]` becomes `[copies * p]`. The result shares no memory with
    `kernel`.
    """
    return ops.copy(ops.concatenate([kernel] * copies, axis=-1))


def copy_rows(
    kernel: BackendTensor, copies: int, scale: float
) -> BackendTensor:
    """Stack scaled copies of a down-projection: `[p, h]` to `[copies * p, h]`.

    The scale of every copy is `1 / k` in the paper.
    """
    return ops.concatenate([kernel * scale] * copies, axis=0)


def copy_shares(factor: int, width: int, kind: str) -> np.ndarray:
    """Shares `[k, p]` of the down-projection that each of `k` copies carries.

    The shares of a neuron sum to one, so any choice preserves the function.
    `"equal"` is the paper's `1 / k`. With `"unequal"`, neuron `j` favors copy
    `j mod k`, whose share is `k`; the share of every other copy is `-1`. The
    copies of a neuron then receive gradients of different size and sign, and
    for `k = 2` the sum `2 h - h` is still exact in floating point.
    """
    if kind == "equal":
        return np.full((factor, width), 1.0 / factor, "float32")
    favored = np.arange(factor)[:, None] == np.arange(width)[None] % factor
    return np.where(favored, float(factor), -1.0).astype("float32")


def fold_copies(hidden: BackendTensor, shares: np.ndarray) -> BackendTensor:
    """Sum the copies of every neuron, weighted by their shares.

    `fold(act(x W1')) W2` equals `act(x W1') W2'` with the shares `[k, p]`
    written into `W2'`, at the cost of one product with `W2` in place of `k`.
    `[..., k p]` becomes `[..., p]`.
    """
    factor, width = shares.shape
    total = None
    for copy in range(factor):
        part = hidden[..., copy * width : (copy + 1) * width]
        part = part * ops.cast(shares[copy], hidden.dtype)
        total = part if total is None else total + part
    return total


def share_rows(kernel: BackendTensor, shares: np.ndarray) -> BackendTensor:
    """Write shares `[k, p]` into a stacked down-projection.

    `[p, h]` becomes `[k p, h]`, which does what `fold_copies` and `kernel` do
    together.
    """
    rows = [kernel * ops.array(share)[:, None] for share in shares]
    return ops.concatenate(rows, axis=0)


def slice_specs(
    name: str,
    factor: int,
    strategy: str,
    grows: str,
    kernel_shape: Sequence[int],
    has_bias: bool,
) -> dict[str, tuple[int, ...]]:
    """The variables that a growth adds beside one dense layer: shapes by name.

    Building, growth files, costs and forecasts all follow from here.
    `kernel_shape` is the base's: `[h, p]` of an up-projection (`grows` is
    `"output"`) or `[p, h]` of a down-projection (`"input"`). Names are
    `name/kernel` and `name/bias`, or for G-Train `name/copy_0/kernel` and so
    on.
    """
    rows, columns = kernel_shape
    if grows == "input":
        if strategy != "g_freeze":
            return {}
        return {f"{name}/kernel": ((factor - 1) * rows, columns)}
    if strategy == "g_train":
        parts = [f"{name}/copy_{copy}" for copy in range(factor)]
        width = columns
    else:
        parts, width = [name], (factor - 1) * columns
    specs: dict[str, tuple[int, ...]] = {}
    for part in parts:
        specs[f"{part}/kernel"] = (rows, width)
        if has_bias:
            specs[f"{part}/bias"] = (width,)
    return specs


def pad_width(kernel: BackendTensor, width: int, axis: int) -> BackendTensor:
    """Widen an axis of a kernel with zeros, which preserves the MLP's function.

    Zero columns of an up-projection meet zero rows of the down-projection.
    """
    padding = [(0, 0)] * len(kernel.shape)
    padding[axis] = (0, width - kernel.shape[axis])
    return ops.pad(kernel, padding)


def offsets(widths: Sequence[int]) -> list[int]:
    """Where each of several neighboring slices begins, and the end."""
    return [0, *np.cumsum(widths).tolist()]


def is_replaced(scales: Sequence[float], shares: Sequence[float]) -> bool:
    """Whether growths at these scales replace the base entirely.

    Only G-Train at scale 1 does, with no other growth active: it takes over all
    of the base.
    """
    pairs = list(zip(scales, shares, strict=True))
    left = 1.0 - sum(scale * share for scale, share in pairs)
    return left == 0.0 and any(s == share == 1.0 for s, share in pairs)

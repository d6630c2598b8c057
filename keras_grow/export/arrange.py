"""The layout of KerasHub weights in Hugging Face checkpoints, as functions.

KerasHub stores a projection as inputs by outputs, with a separate axis for the
heads; `torch.nn.Linear` stores outputs by inputs, without that axis.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrange = Callable[[Array], Array]


def keep(weight: Array) -> Array:
    """The weight as it is."""
    return weight


def transpose(kernel: Array) -> Array:
    """`[in, out]` to `[out, in]`."""
    return kernel.T


def flat(bias: Array) -> Array:
    """`[heads, size]` to `[heads * size]`."""
    return bias.reshape(-1)


def from_heads_last(kernel: Array) -> Array:
    """`[in, heads, size]` to `[heads * size, in]`."""
    return kernel.reshape(kernel.shape[0], -1).T


def from_heads_first(kernel: Array) -> Array:
    """`[heads, in, size]` to `[heads * size, in]`."""
    return kernel.transpose(0, 2, 1).reshape(-1, kernel.shape[1])


def out_of_heads(kernel: Array) -> Array:
    """`[heads, size, out]` to `[out, heads * size]`."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def rows_from_heads(kernel: Array) -> Array:
    """`[in, heads, size]` to `[in, heads * size]`, as GPT-2 has it."""
    return kernel.reshape(kernel.shape[0], -1)


def rows_out_of_heads(kernel: Array) -> Array:
    """`[heads, size, out]` to `[heads * size, out]`, as GPT-2 has it."""
    return kernel.reshape(-1, kernel.shape[-1])


def interleave_rotary(weight: Array, heads: int) -> Array:
    """Order the rows of a query or key kernel as in llama.cpp's Llama.

    The kernel is `[heads * size, in]`. Hugging Face rotates the pair (i, i +
    size / 2) of a head; llama.cpp's `llama` architecture rotates the pair (2 i,
    2 i + 1).
    """
    halves = weight.reshape(heads, 2, -1, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)

"""The layout of KerasHub weights in Hugging Face checkpoints, as functions.

KerasHub stores a projection as inputs by outputs, with a separate axis for the
heads; `torch.nn.Linear` stores outputs by inputs, without that axis.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrange = Callable[[NDArray[Any]], NDArray[Any]]


def keep(weight: NDArray[Any]) -> NDArray[Any]:
    """The weight as it is."""
    return weight


def transpose(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[in, out]` to `[out, in]`."""
    return kernel.T


def flat(bias: NDArray[Any]) -> NDArray[Any]:
    """`[heads, size]` to `[heads * size]`."""
    return bias.reshape(-1)


def from_heads_last(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[in, heads, size]` to `[heads * size, in]`."""
    return kernel.reshape(kernel.shape[0], -1).T


def from_heads_first(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[heads, in, size]` to `[heads * size, in]`."""
    return kernel.transpose(0, 2, 1).reshape(-1, kernel.shape[1])


def out_of_heads(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[heads, size, out]` to `[out, heads * size]`."""
    return kernel.reshape(-1, kernel.shape[-1]).T


def rows_from_heads(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[in, heads, size]` to `[in, heads * size]`, as GPT-2 has it."""
    return kernel.reshape(kernel.shape[0], -1)


def rows_out_of_heads(kernel: NDArray[Any]) -> NDArray[Any]:
    """`[heads, size, out]` to `[heads * size, out]`, as GPT-2 has it."""
    return kernel.reshape(-1, kernel.shape[-1])


def interleave_rotary(weight: NDArray[Any], heads: int) -> NDArray[Any]:
    """Order the rows of a query or key kernel as in llama.cpp's Llama.

    The kernel is `[heads * size, in]`. Hugging Face rotates the pair (i, i +
    size / 2) of a head; llama.cpp's `llama` architecture rotates the pair (2 i,
    2 i + 1).
    """
    halves = weight.reshape(heads, 2, -1, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(weight.shape)

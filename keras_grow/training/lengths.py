"""A few lengths for rows of many lengths: which to compile."""

from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


def compiles_lengths() -> bool:
    """Whether a batch of another length is compiled; not on PyTorch."""
    return str(keras.config.backend()) != "torch"


def row_lengths(*marks: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of each row up to the last one that is marked `[N]`.

    They are at least 1. `marks` `[N, S]`, a padding mask or sample weights, are
    not zero where a position is used.
    """
    used = np.any([np.asarray(mark) != 0 for mark in marks], axis=0)
    from_the_end = np.argmax(used[:, ::-1], axis=1)
    lengths = used.shape[1] - from_the_end
    return np.where(used.any(axis=1), lengths, 1).astype("int64")


def choose_lengths(
    rows: Sequence[int] | NDArray[Any],
    count: int = 4,
    multiple_of: int = 8,
    longest: int | None = None,
) -> tuple[int, ...]:
    """The lengths to pad rows to that pad least, by dynamic programming.

    There are at most `count`, ascending, because each is a compiled shape;
    the longest row fits in the last. None is rounded above `longest`.
    """
    lengths = np.asarray(rows, dtype="int64")
    rounded = _rounded(lengths, multiple_of, longest)
    sizes, counts = np.unique(rounded, return_counts=True)
    # `below[i]`: rows in the sizes before number i.
    below = np.concatenate([[0], np.cumsum(counts)])
    # `cost[i]`: positions of the rows in the sizes before number i.
    cost = np.concatenate([[0.0], np.full(len(sizes), np.inf)])
    choices = []
    for _ in range(min(count, len(sizes))):
        padded = (below[None, 1:] - below[:-1, None]) * sizes[None]
        total = np.where(padded > 0, cost[:-1, None] + padded, np.inf)
        start = np.argmin(total, axis=0)
        best = total[start, np.arange(len(sizes))]
        choices.append(start)
        cost = np.concatenate([[0.0], best])
    chosen, end = [], len(sizes)
    for start in reversed(choices):
        if end == 0:
            break
        chosen.append(int(sizes[end - 1]))
        end = int(start[end - 1])
    return tuple(reversed(chosen))


def _rounded(
    lengths: NDArray[np.int64], multiple_of: int, longest: int | None
) -> NDArray[np.int64]:
    rounded = -(-lengths // multiple_of) * multiple_of
    return rounded if longest is None else np.minimum(rounded, longest)


def cheapest_lengths(
    rows: Sequence[int] | NDArray[Any],
    known: Iterable[int] = (),
    price: int = 8192,
    multiple_of: int = 16,
    longest: int | None = None,
) -> tuple[int, ...]:
    """The cheapest lengths, ascending, if each new length has a price.

    The price is in positions that one may pad to save a new length. Those in
    `known` cost nothing, for they are compiled already. The longest row fits in
    the last; no length is rounded above `longest`.
    """
    lengths = np.asarray(rows, dtype="int64")
    rounded = _rounded(lengths, multiple_of, longest)
    known = np.array(sorted(known), dtype="int64")
    sizes = np.union1d(rounded, known)
    # `below[i]`: rows that need no more than the sizes before `i`.
    below = np.searchsorted(np.sort(lengths), sizes, side="right")
    below = np.concatenate([[0], below])
    prices = np.where(np.isin(sizes, known), 0, price)
    cost, start = np.zeros(len(sizes) + 1), np.zeros(len(sizes) + 1, "int64")
    for end, size in enumerate(sizes, start=1):
        held = below[end] - below[:end]
        each = cost[:end] + held * size + prices[end - 1]
        start[end] = np.argmin(each)
        cost[end] = each[start[end]]
    enough = np.nonzero(below == len(lengths))[0]
    end, chosen = int(enough[np.argmin(cost[enough])]), []
    while end:
        chosen.append(int(sizes[end - 1]))
        end = int(start[end])
    return tuple(reversed(chosen))


def length_for(
    lengths: Sequence[int], row: int | Sequence[int] | NDArray[Any]
) -> NDArray[np.int64]:
    """The index of the shortest of ascending lengths that holds a row."""
    return np.asarray(np.searchsorted(lengths, row), dtype="int64")


def example_order(
    count: int, seed: int, first: int, length: int
) -> NDArray[np.int64]:
    """Indices of examples, epoch after epoch, each in its own order.

    `first` is a position in that endless sequence, `length` the number of
    indices.
    """
    epochs = range(first // count, (first + length - 1) // count + 1)
    order = np.concatenate(
        [np.random.default_rng([seed, e]).permutation(count) for e in epochs]
    )
    offset = first - epochs[0] * count
    return order[offset : offset + length]

"""Intervals of scores: over the examples they were taken on, over seeds.

A score of a method and the same score of another, or of the base, are taken
on the same examples. So their difference is resampled with both halves of an
example together (Koehn 2004, "Statistical significance tests for machine
translation evaluation"; Efron and Tibshirani 1993).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray


class Interval(NamedTuple):
    """A score and where it may lie."""

    value: float
    low: float
    high: float


def resamples(
    groups: ArrayLike, count: int = 1000, seed: int = 0
) -> NDArray[np.int64]:
    """How often each example is drawn in each bootstrap resample `[count, N]`.

    Draw once and pass it to every score of one set of examples: that is what
    makes differences between them paired. `groups` is the number of independent
    examples, or for each example the group (an article, a document) that it is
    drawn together with.
    """
    labels = np.asarray(groups)
    labels = np.arange(int(labels)) if labels.ndim == 0 else labels
    if labels.size == 0 or count < 1:
        raise ValueError(
            "Expected examples to draw from, and a positive `count`. "
            f"Received: {labels.size} examples, count={count}"
        )
    _, owner = np.unique(labels, return_inverse=True)
    number = int(owner.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(
        number, np.full(number, 1 / number), size=count
    )
    counts: NDArray[np.int64] = drawn[:, owner]
    return counts


def ratio(
    totals: ArrayLike, sizes: ArrayLike, draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """A mean per token in each resample: summed totals over summed sizes.

    `totals` `[N]` or `[rows, N]`, `sizes` `[N]` and `draws` `[count, N]` give
    `[count]` or `[rows, count]`.
    """
    totals = np.asarray(totals, np.float64)
    sizes = np.asarray(sizes, np.float64)
    weights = draws.astype(np.float64)
    means: NDArray[np.float64] = (totals @ weights.T) / (weights @ sizes)
    return means


def interval(
    value: float, resampled: ArrayLike, confidence: float = 0.95
) -> Interval:
    """The percentile interval of a score over resamples.

    A resample without the score (NaN) makes its ends NaN.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            "Expected `confidence` between 0 and 1. "
            f"Received: confidence={confidence}"
        )
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.asarray(resampled, float), [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def over_seeds(values: ArrayLike) -> Interval:
    """The mean over seeds, with the lowest and the highest of them.

    With three seeds that is all there is to say: a standard error of three
    numbers is itself known only to within a factor of two.
    """
    seeds = np.asarray(values, np.float64)
    return Interval(float(seeds.mean()), float(seeds.min()), float(seeds.max()))

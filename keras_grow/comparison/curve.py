"""What is learned and what is forgotten along a curve, with intervals."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 1000


@dataclass(frozen=True)
class Losses:
    """A loss for each example: what a mean and its interval are made of.

    Attributes:
        losses: negative log-likelihood of each example, in nats `[N]`.
        tokens: tokens of each example `[N]`.
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Nats a token."""
        return float(self.losses.sum() / self.tokens.sum())


def change_interval(
    before: Losses,
    after: Losses,
    level: float = 0.95,
    samples: int = SAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a change of the mean loss.

    Examples are drawn with replacement, the same before and after (Efron and
    Tibshirani, 1993, section 8.3; Koehn, 2004): what is hard about an example
    is in both and cancels.

    Args:
        before: losses of the base.
        after: losses of the changed model on the same examples.
        level: coverage of the interval. Defaults to 0.95.
        samples: how often examples are drawn. Defaults to 1000.
        seed: seed of the drawing. Defaults to 0.

    Returns:
        The lower and the upper end, in nats a token. A ratio of perplexities
        is `exp` of them.

    Raises:
        ValueError: if the two are not of the same examples.

    Example:

    ```python
    import numpy as np
    from keras_grow.comparison.curve import Losses, change_interval

    tokens = np.array([2.0, 3.0, 4.0])
    base = Losses(np.array([4.0, 5.0, 9.0]), tokens)
    low, high = change_interval(base, Losses(base.losses - 1.0, tokens))
    ```
    """
    if not np.array_equal(before.tokens, after.tokens):
        raise ValueError(
            "Expected losses of the same examples. Received: "
            f"{len(before.tokens)} and {len(after.tokens)} examples of "
            f"{before.tokens.sum():g} and {after.tokens.sum():g} tokens"
        )
    count = len(before.tokens)
    drawn = np.random.default_rng(seed).integers(0, count, (samples, count))
    change = (after.losses - before.losses)[drawn].sum(axis=1)
    values = change / before.tokens[drawn].sum(axis=1)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(values, (tail, 1.0 - tail))
    return float(low), float(high)


def learned_at(
    forgotten: Sequence[float], loss: Sequence[float], most: float
) -> float | None:
    """The lowest loss on a curve where no more than `most` is forgotten.

    Between two points of the curve both are interpolated linearly.

    Args:
        forgotten: what each point of the curve forgets, the base first.
        loss: the loss of each point.
        most: the most that may be forgotten, in the unit of `forgotten`.

    Returns:
        The loss; None if the curve begins beyond.

    Example:

    ```python
    from keras_grow.comparison.curve import learned_at

    learned_at([0.0, 0.04], [2.0, 1.0], 0.02)  # 1.5
    ```
    """
    points = list(zip(forgotten, loss, strict=True))
    within = [learned for lost, learned in points if lost <= most]
    for (lost, learned), (more, then) in itertools.pairwise(points):
        if min(lost, more) <= most < max(lost, more):
            way = (most - lost) / (more - lost)
            within.append(learned + way * (then - learned))
    return min(within, default=None)

"""New skill against forgetting: curves, readings between points, the front.

Each method ends with a curve over the share of its change that is kept. A
point is `(forgetting, loss)`, lower is better in both: forgetting in percent
of the base's perplexity, and the loss on the new task.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray


def forgetting(loss: ArrayLike, base_loss: ArrayLike) -> NDArray[np.float64]:
    """The rise of a perplexity over the base's, in percent.

    The losses are in nats per token, over the same tokens. The rise is negative
    where the model reads better than its base.
    """
    change = np.subtract(loss, base_loss, dtype=np.float64)
    with np.errstate(over="ignore"):  # Infinite, of a run that diverged.
        rise: NDArray[np.float64] = 100 * np.asarray(np.expm1(change))
    return rise


def loss_at(forgotten: ArrayLike, losses: ArrayLike, budget: float) -> float:
    """The lowest loss of a curve that stays within a budget of forgetting.

    The base's point comes first. Between neighboring shares, both are
    interpolated linearly. Points that are not finite numbers, of a run that
    diverged, count for nothing. NaN if even the first point forgets more.
    """
    x, y = _curve(forgotten, losses)
    known = np.isfinite(x) & np.isfinite(y)
    inside = y[known & (x <= budget)].tolist()
    for i in range(len(x) - 1):
        crosses = (x[i] <= budget) != (x[i + 1] <= budget)
        if crosses and known[i] and known[i + 1]:
            part = (budget - x[i]) / (x[i + 1] - x[i])
            inside.append(float(y[i] + part * (y[i + 1] - y[i])))
    return float(min(inside)) if inside else float("nan")


def forgetting_at(
    forgotten: ArrayLike, losses: ArrayLike, target: float
) -> float:
    """The least forgetting at which a curve reaches a loss, or NaN."""
    x, y = _curve(forgotten, losses)
    return loss_at(y, x, target)


def front(points: ArrayLike) -> NDArray[np.bool_]:
    """Which of the points `[N, 2]` no other point beats in both coordinates.

    Lower is better in both. Equal points are both on the front.
    """
    p = np.asarray(points, np.float64)
    no_worse = (p[:, None] <= p[None]).all(axis=2)
    better = (p[:, None] < p[None]).any(axis=2)
    beaten = np.any(no_worse & better, axis=0)
    return np.asarray(~beaten, np.bool_)


def bracketed(scores: Mapping[float, float]) -> bool:
    """Whether the best rate of a sweep has a lower and a higher neighbor."""
    if not scores:
        raise ValueError("Expected a score for each rate. Received: none")
    best = min(scores, key=lambda rate: scores[rate])
    return min(scores) < best < max(scores)


def _curve(
    forgotten: ArrayLike, losses: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = (np.asarray(v, np.float64) for v in (forgotten, losses))
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise ValueError(
            "Expected two curves of one length, a value for each share. "
            f"Received: shapes {x.shape} and {y.shape}"
        )
    return x, y

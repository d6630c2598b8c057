"""Multinomial logistic regression in NumPy: one minimum, found by Newton.

With ridge regularization the loss is convex, with one minimum up to a shift of
all biases. So the result depends on the data alone: no seed, no order, no
learning rate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_STEPS = 100
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Logistic:
    """A fitted classifier: weights `[d, classes]` and bias `[classes]`."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(
        self, features: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The probability of each class, `[rows, classes]`."""
        return softmax(features @ self.weights + self.bias)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of each row's logits."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chances: NDArray[np.float64] = exponents / exponents.sum(
        axis=-1, keepdims=True
    )
    return chances


def fit_logistic(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: int,
    ridge: float,
) -> Logistic:
    """Fit the classifier of least loss, with all classes weighted equally.

    The loss is `mean over classes of mean over its rows of -log p(label)` and
    `ridge / 2 * sum(weights ** 2)`; biases are free. Every class has a row of
    `[rows, d]`. The minimum is found to a gradient of 1e-9.
    """
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    targets = np.eye(classes)[labels]
    share = (targets / targets.sum(axis=0) / classes).sum(axis=1)
    penalty = np.full((rows.shape[1], 1), ridge)
    penalty[-1] = 0.0
    solution = np.zeros((rows.shape[1], classes))

    def loss(values: NDArray[np.float64]) -> float:
        logits = rows @ values
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        likelihood = (targets * logits).sum(axis=1) - total
        return float(-share @ likelihood + (penalty * values**2).sum() / 2)

    for _ in range(_MOST_STEPS):
        chances = softmax(rows @ solution)
        error = share[:, None] * (chances - targets)
        gradient = rows.T @ error + penalty * solution
        norm = float(np.linalg.norm(gradient))
        if norm < _TOLERANCE:
            break

        def curvature(
            direction: NDArray[np.float64],
            chances: NDArray[np.float64] = chances,
        ) -> NDArray[np.float64]:
            change = rows @ direction
            change = change - (chances * change).sum(axis=1, keepdims=True)
            inner = share[:, None] * chances * change
            curved: NDArray[np.float64] = rows.T @ inner + penalty * direction
            return curved

        step = _conjugate_gradients(
            curvature, -gradient, min(0.1, norm**0.5) * norm
        )
        slope = float((gradient * step).sum())
        before, length = loss(solution), 1.0
        while loss(solution + length * step) > before + 1e-4 * length * slope:
            length /= 2
            if length < 1e-10:
                # Rounding hides any further gain.
                return Logistic(solution[:-1], solution[-1])
        solution = solution + length * step
    return Logistic(solution[:-1], solution[-1])


def _conjugate_gradients(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    target: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.float64]:
    """Solve `product(x) = target` to a tolerance."""
    solution = np.zeros_like(target)
    residual = direction = target
    squared = float((residual**2).sum())
    for _ in range(4 * target.size):
        image = product(direction)
        along = float((direction * image).sum())
        if along <= 0.0:
            break
        solution = solution + squared / along * direction
        residual = residual - squared / along * image
        new = float((residual**2).sum())
        if new**0.5 < tolerance:
            break
        direction = residual + new / squared * direction
        squared = new
    return solution

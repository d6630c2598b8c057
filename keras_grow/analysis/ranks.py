"""How many directions a matrix uses: three measures of its rank."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def effective_rank(singular_values: NDArray[Any]) -> float:
    """Effective rank: the exponential of the entropy of singular values.

    `exp(-sum p_i log p_i)` with `p_i = s_i / sum s`. A real number from 1 to
    the rank; the rank itself when all non-zero values are equal. Definition of
    Roy and Vetterli 2007, "The effective rank: a measure of effective
    dimensionality", which section 4.4 of arXiv 2603.08647 uses.

    Args:
        singular_values: array of all the singular values, in any order.

    Returns:
        The effective rank; 0 for a matrix of zeros.

    Raises:
        ValueError: if a value is negative or not finite.

    Example:

    ```python
    from keras_grow.analysis.ranks import effective_rank
    from keras_grow.selection.svd import singular_values

    effective_rank(singular_values(after - before))
    ```
    """
    values = _checked(singular_values)
    if not values.size:
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def stable_rank(singular_values: NDArray[Any]) -> float:
    """Stable rank: the energy relative to that of the largest singular value.

    `sum s_i^2 / max s_i^2` (Rudelson and Vershynin 2007, arXiv
    math/0503442). Small singular values hardly count.

    Args:
        singular_values: array of all the singular values, in any order.

    Returns:
        A real number from 1 to the rank; 0 for a matrix of zeros.

    Raises:
        ValueError: if a value is negative or not finite.
    """
    values = _checked(singular_values)
    if not values.size:
        return 0.0
    return float(np.sum((values / values.max()) ** 2))


def threshold_rank(singular_values: NDArray[Any], energy: float = 0.99) -> int:
    """Energy-threshold rank: the lowest rank that keeps a share of the energy.

    By the Eckart-Young theorem no matrix of lower rank comes as close.

    Args:
        singular_values: array of all the singular values, in any order.
        energy: the share of `sum s_i^2` to keep, over 0 and up to 1. Defaults
            to 0.99.

    Returns:
        The rank; 0 for a matrix of zeros.

    Raises:
        ValueError: if a value is negative or not finite, or `energy` is out of
            range.
    """
    if not 0.0 < energy <= 1.0:
        raise ValueError(
            "Expected `energy` to be over 0 and up to 1. "
            f"Received: energy={energy}"
        )
    values = _checked(singular_values)
    if not values.size:
        return 0
    # Relative to the largest: squares of tiny or huge values are out of range.
    kept = np.cumsum(np.sort((values / values.max()) ** 2)[::-1])
    # The last sum is the total, so that 1.0 is always reached.
    return int(np.searchsorted(kept, energy * kept[-1])) + 1


def _checked(singular_values: NDArray[Any]) -> NDArray[Any]:
    """The values that are not zero, in float64."""
    values = np.asarray(singular_values, "float64").ravel()
    if not np.isfinite(values).all() or (values < 0.0).any():
        raise ValueError(
            "Expected singular values: finite and none negative. Received: "
            f"{values}"
        )
    kept: NDArray[Any] = values[values > 0.0]
    return kept

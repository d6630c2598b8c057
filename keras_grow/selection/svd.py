"""Singular values of a kernel: exact, or the leading ones by sampling."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def singular_values(matrix: NDArray[Any]) -> NDArray[Any]:
    """All singular values of a matrix, largest first.

    LAPACK's SVD in the dtype of the matrix, float32 for anything narrower. In
    float32 a singular value is off by about `1e-7` of the largest one.

    Args:
        matrix: array of shape `(n, m)`.

    Returns:
        float64 array of `min(n, m)` values.

    Raises:
        ValueError: if `matrix` is not a matrix, or not all of it is finite.

    Example:
    ```python
    import numpy as np
    from keras_grow.selection.svd import singular_values

    singular_values(np.diag([3.0, 2.0]))  # [3., 2.]
    ```
    """
    return np.linalg.svd(_checked(matrix), compute_uv=False).astype("float64")


def randomized_singular_values(
    matrix: NDArray[Any],
    rank: int,
    oversampling: int = 10,
    power_iterations: int = 2,
    seed: int = 0,
) -> tuple[NDArray[Any], float]:
    """The leading singular values of a matrix, and a bound on their error.

    Randomized range finder with power iterations (Halko, Martinsson and Tropp
    2011, arXiv 0909.4061, algorithms 4.4 and 5.1). For a matrix of low rank it
    is much cheaper than all the singular values.

    Args:
        matrix: array of shape `(n, m)`.
        rank: how many singular values.
        oversampling: additional samples. Defaults to 10.
        power_iterations: passes that sharpen the range. Defaults to 2.
        seed: seed of the samples. Defaults to 0.

    Returns:
        The `rank` values, largest first, and the Frobenius norm of the part of
        the matrix that the samples missed. With the exact values `s`, the
        values `t` found, padded with zeros (all `rank + oversampling` of
        them), and that norm `e`: `t_i <= s_i` and `sum (s_i - t_i)^2 <= e^2`
        (Mirsky's inequality), so no value is off by more than `e`.

    Raises:
        ValueError: if `rank` is not from 1 to `min(n, m)`.

    Example:
    ```python
    import numpy as np
    from keras_grow.selection.svd import randomized_singular_values

    values, error = randomized_singular_values(np.ones((30, 40)), rank=1)
    ```
    """
    matrix = _checked(matrix)
    if not 1 <= rank <= min(matrix.shape):
        raise ValueError(
            f"Expected `rank` to be from 1 to {min(matrix.shape)}. "
            f"Received: rank={rank}"
        )
    samples = min(rank + oversampling, *matrix.shape)
    noise = np.random.default_rng(seed).normal(size=(matrix.shape[1], samples))
    noise = noise.astype(matrix.dtype)
    basis, _ = np.linalg.qr(matrix @ noise)
    for _ in range(power_iterations):
        basis, _ = np.linalg.qr(matrix.T @ basis)
        basis, _ = np.linalg.qr(matrix @ basis)
    seen = basis.T @ matrix
    missed = float(np.linalg.norm(matrix - basis @ seen))
    return singular_values(seen)[:rank], missed


def _checked(matrix: NDArray[Any]) -> NDArray[Any]:
    matrix = np.asarray(matrix)
    if matrix.dtype != "float64":
        matrix = matrix.astype("float32")
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(
            "Expected a matrix of finite values, of two dimensions. "
            f"Received: an array of shape {matrix.shape}"
            + (", not finite" if matrix.ndim == 2 and matrix.size else "")
        )
    return matrix

"""Singular values, exact and sampled, agree within what is stated."""

import numpy as np
import pytest

from keras_grow.selection.svd import randomized_singular_values
from keras_grow.selection.svd import singular_values

pytestmark = pytest.mark.no_backend


def matrix(rank: int, noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(60, rank)) @ rng.normal(size=(rank, 90))
    return (low + noise * rng.normal(size=(60, 90))).astype("float32")


@pytest.mark.parametrize("turn", [False, True])
def test_exact_values_are_numpys_in_float64(turn):
    kernel = matrix(20, 0.1).T if turn else matrix(20, 0.1)
    exact = np.linalg.svd(kernel.astype("float64"), compute_uv=False)
    np.testing.assert_allclose(
        singular_values(kernel), exact, atol=2e-7 * exact[0]
    )


def test_sampled_values_of_a_matrix_of_low_rank_are_exact():
    values, missed = randomized_singular_values(matrix(5), rank=5)
    exact = singular_values(matrix(5))
    np.testing.assert_allclose(values, exact[:5], rtol=1e-5)
    assert missed < 1e-4 * exact[0]


@pytest.mark.parametrize("rank", [1, 8, 40])
def test_sampled_values_are_off_by_no_more_than_what_was_missed(rank):
    kernel = matrix(6, 1.0)
    values, missed = randomized_singular_values(
        kernel, rank, oversampling=0, power_iterations=0
    )
    error = singular_values(kernel)[:rank] - values
    assert (error > -1e-4).all()
    assert np.linalg.norm(error) <= missed
    assert np.linalg.norm(error) > 0.01


@pytest.mark.parametrize("rank", [0, 61])
def test_a_rank_that_is_not_there_is_refused(rank):
    with pytest.raises(ValueError, match=f"1 to 60. Received: rank={rank}"):
        randomized_singular_values(matrix(3), rank)


@pytest.mark.parametrize(
    "bad", [np.ones(3), np.ones((0, 3)), np.full((2, 2), np.nan)]
)
def test_what_is_no_finite_matrix_is_refused(bad):
    with pytest.raises(ValueError, match="a matrix of finite values"):
        singular_values(bad)

"""Three measures of rank, on matrices whose rank is known."""

import numpy as np
import pytest

from keras_grow.analysis.ranks import effective_rank
from keras_grow.analysis.ranks import stable_rank
from keras_grow.analysis.ranks import threshold_rank
from keras_grow.selection.svd import randomized_singular_values
from keras_grow.selection.svd import singular_values

pytestmark = pytest.mark.no_backend

MEASURES = [effective_rank, stable_rank, threshold_rank]


def with_values(values) -> np.ndarray:
    """A 40 x 60 matrix with these singular values."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(40, len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(60, len(values))))
    return (left * values) @ right.T


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("rank", [1, 7, 40])
def test_equal_singular_values_give_the_rank_itself(measure, rank):
    matrix = with_values([2.0] * rank)
    assert np.linalg.matrix_rank(matrix) == rank
    assert measure(singular_values(matrix)) == pytest.approx(rank)


def test_unequal_values_give_what_the_definitions_say():
    values = np.array([3.0, 2.0, 1.0])
    found = singular_values(with_values(values))
    p = values / 6
    entropy = -(p * np.log(p)).sum()
    assert effective_rank(found) == pytest.approx(np.exp(entropy))
    assert stable_rank(found) == pytest.approx(14 / 9)
    # Energies 9, 4, 1 of 14.
    assert threshold_rank(found, 9 / 14 - 1e-6) == 1
    assert threshold_rank(found, 13 / 14 - 1e-6) == 2
    assert threshold_rank(found, 1.0 - 1e-6) == 3


def test_sampling_gives_the_effective_rank_of_a_matrix_of_low_rank():
    matrix = with_values(np.linspace(1, 3, 8)).astype("float32")
    sampled, missed = randomized_singular_values(matrix, rank=8)
    assert missed < 1e-5
    assert effective_rank(sampled) == pytest.approx(
        effective_rank(singular_values(matrix.astype("float64"))), rel=1e-5
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_a_matrix_of_zeros_has_rank_zero(measure):
    assert measure(np.zeros(4)) == 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_rank_does_not_depend_on_the_scale(measure, scale):
    values = np.array([3.0, 2.0, 2.0])
    assert measure(scale * values) == pytest.approx(measure(values))


@pytest.mark.parametrize("measure", MEASURES)
def test_what_are_no_singular_values_is_refused(measure):
    for bad in ([-1.0, 2.0], [np.inf]):
        with pytest.raises(ValueError, match="finite and none negative"):
            measure(np.array(bad))


@pytest.mark.parametrize("energy", [0.0, 1.1])
def test_an_energy_out_of_range_is_refused(energy):
    with pytest.raises(ValueError, match="Expected `energy`"):
        threshold_rank(np.ones(2), energy)

"""Curves, fronts and intervals against independent calculations."""

import numpy as np
import pytest

from keras_grow.comparison.front import bracketed
from keras_grow.comparison.front import forgetting
from keras_grow.comparison.front import forgetting_at
from keras_grow.comparison.front import front
from keras_grow.comparison.front import loss_at
from keras_grow.comparison.intervals import interval
from keras_grow.comparison.intervals import over_seeds
from keras_grow.comparison.intervals import ratio
from keras_grow.comparison.intervals import resamples

pytestmark = pytest.mark.no_backend


def test_forgetting_is_the_rise_of_the_perplexity_in_percent():
    np.testing.assert_allclose(forgetting(np.log([20.0, 22.0]), np.log(20.0)),
                               [0.0, 10.0], atol=1e-9)  # fmt: skip


def test_the_loss_at_a_budget_lies_on_the_line_between_two_shares():
    assert loss_at([0, 1, 3], [2.0, 1.5, 1.1], 2.0) == pytest.approx(1.3)


def test_a_curve_that_turns_up_gives_its_best_share_within_the_budget():
    assert loss_at([0, 1, 2], [2.0, 1.0, 1.4], 2.0) == 1.0


def test_a_curve_that_stays_under_the_budget_gives_its_lowest_loss():
    assert loss_at([0, 0.1, 0.2], [2.0, 1.5, 1.2], 5.0) == 1.2


def test_points_that_are_not_finite_are_ignored():
    x = [0, 1, np.nan, 3, np.inf]
    y = [2.0, 1.5, 0.1, 1.1, np.nan]
    assert loss_at(x, y, 2.0) == 1.5
    assert loss_at([0, np.nan], [2.0, np.nan], 2.0) == 2.0
    assert loss_at([0, 1], [np.nan, 1.5], 2.0) == 1.5


def test_the_forgetting_at_a_loss_inverts_the_loss_at_a_budget():
    x, y = [0, 1, 3], [2.0, 1.5, 1.1]
    assert loss_at(x, y, forgetting_at(x, y, 1.3)) == pytest.approx(1.3)


def test_a_loss_that_no_share_reaches_has_no_forgetting():
    assert np.isnan(forgetting_at([0, 1], [2.0, 1.5], 1.0))


def test_curves_of_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"one length.*\(2,\) and \(1,\)"):
        loss_at([0, 1], [2.0], 1.0)


def test_the_front_has_the_points_that_no_other_beats():
    points = [(0, 3), (1, 2), (2, 2), (3, 1), (3, 3), (1, 2)]
    expected = [
        not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
        for x, y in points
    ]
    assert front(points).tolist() == expected


def test_a_rate_is_bracketed_by_a_lower_and_a_higher_one():
    assert bracketed({1e-5: 2.0, 2e-5: 1.0, 4e-5: 1.5})
    assert not bracketed({1e-5: 1.0, 2e-5: 1.5, 4e-5: 2.0})
    assert not bracketed({1e-5: 3.0, 2e-5: 1.5, 4e-5: 1.0})


def test_a_ratio_is_of_the_examples_that_were_drawn():
    draws = resamples(7, count=20, seed=3)
    totals, sizes = np.arange(7.0) ** 2, np.arange(1.0, 8.0)
    expected = [
        np.repeat(totals, row).sum() / np.repeat(sizes, row).sum()
        for row in draws
    ]
    np.testing.assert_allclose(ratio(totals, sizes, draws), expected)
    assert (draws.sum(axis=1) == 7).all()


def test_examples_of_one_group_are_drawn_together():
    draws = resamples(["a", "b", "a", "c"], count=50)
    np.testing.assert_array_equal(draws[:, 0], draws[:, 2])
    assert (draws[:, 0] != draws[:, 1]).any()


def test_the_interval_of_a_mean_agrees_with_its_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    drawn = ratio(values, np.ones(400), resamples(400, count=4000))
    found = interval(values.mean(), drawn)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found.low < found.value < found.high


def test_a_paired_difference_is_narrower_than_its_halves():
    rng = np.random.default_rng(1)
    one = rng.normal(size=200)
    other = one + 0.01 * rng.normal(size=200)
    draws = resamples(200)
    a, b = (ratio(v, np.ones(200), draws) for v in (one, other))
    assert np.std(a - b) < 0.05 * np.std(a)


def test_seeds_show_their_mean_and_both_ends():
    assert over_seeds([1.0, 2.0, 6.0]) == (3.0, 1.0, 6.0)

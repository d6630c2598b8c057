"""The classifier is at the one minimum of its loss."""

import numpy as np
import pytest

from keras_grow.routing.logistic import fit_logistic

pytestmark = pytest.mark.no_backend

RIDGE = 1e-2


def clouds(counts=(30, 12, 50), width=7):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    middles = rng.normal(0, 1.5, (len(counts), width))
    return middles[labels] + rng.normal(size=(len(labels), width)), labels


def loss(weights, bias, features, labels, ridge=RIDGE):
    """The loss that is minimized, written class by class."""
    logits = features @ weights + bias
    total = np.log(np.exp(logits).sum(axis=1))
    classes = range(weights.shape[1])
    means = [(total - logits[:, c])[labels == c].mean() for c in classes]
    return np.mean(means) + ridge / 2 * (weights**2).sum()


def test_the_gradient_of_the_loss_is_zero():
    features, labels = clouds()
    found = fit_logistic(features, labels, 3, RIDGE)
    step = 1e-6
    for values in (found.weights, found.bias):
        for place in np.ndindex(values.shape):
            ends = []
            for sign in (1, -1):
                kept = values[place]
                values[place] = kept + sign * step
                ends.append(loss(found.weights, found.bias, features, labels))
                values[place] = kept
            assert abs(ends[0] - ends[1]) / (2 * step) < 2e-9 / step * 1e-6


def test_the_order_of_the_rows_changes_nothing():
    features, labels = clouds()
    order = np.random.default_rng(1).permutation(len(labels))
    one = fit_logistic(features, labels, 3, RIDGE)
    other = fit_logistic(features[order], labels[order], 3, RIDGE)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-7)
    again = fit_logistic(features, labels, 3, RIDGE)
    np.testing.assert_array_equal(one.weights, again.weights)


def test_every_class_has_the_same_weight_whatever_its_number_of_rows():
    features, labels = clouds()
    rows = np.concatenate([np.arange(len(labels)), *[np.flatnonzero(labels)]])
    more = np.concatenate([rows, np.flatnonzero(labels == 0)])
    one = fit_logistic(features, labels, 3, RIDGE)
    other = fit_logistic(features[more], labels[more], 3, RIDGE)
    np.testing.assert_allclose(one.weights, other.weights, atol=1e-7)


def test_classes_that_are_linearly_separable_are_separated():
    features, labels = clouds((40, 40), width=30)
    found = fit_logistic(features, labels, 2, 1e-4)
    chances = found.probabilities(features)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert (chances.argmax(axis=1) == labels).all()

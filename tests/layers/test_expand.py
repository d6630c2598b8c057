"""The paper's equations, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_grow.layers import expand

rng = np.random.default_rng(0)
X = rng.normal(size=(5, 6)).astype("float32")
W1 = rng.normal(size=(6, 7)).astype("float32")
W2 = rng.normal(size=(7, 4)).astype("float32")


@pytest.mark.parametrize("k", [2, 3, 5])
def test_copies_side_by_side_and_stacked_preserve_the_mlp(k):
    up = ops.convert_to_numpy(expand.copy_columns(ops.array(W1), k))
    down = ops.convert_to_numpy(expand.copy_rows(ops.array(W2), k, 1 / k))
    assert up.shape == (6, k * 7)
    assert down.shape == (k * 7, 4)
    expected = np.maximum(X @ W1, 0) @ W2
    np.testing.assert_allclose(
        np.maximum(X @ up, 0) @ down, expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.no_backend
@pytest.mark.parametrize("kind", ["equal", "unequal"])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_shares_of_a_neuron_sum_to_one(kind, k):
    shares = expand.copy_shares(k, 7, kind)
    np.testing.assert_allclose(shares.sum(axis=0), np.ones(7), rtol=1e-6)
    if kind == "unequal":
        assert (shares > 0).any()
        assert (shares < 0).any()
        assert len(np.unique(shares, axis=1)[0]) > 1


@pytest.mark.parametrize("kind", ["equal", "unequal"])
def test_folding_equals_the_stacked_down_projection(kind):
    shares = expand.copy_shares(3, 7, kind)
    hidden = rng.normal(size=(2, 5, 21)).astype("float32")
    folded = ops.convert_to_numpy(expand.fold_copies(ops.array(hidden), shares))
    stacked = ops.convert_to_numpy(expand.share_rows(ops.array(W2), shares))
    np.testing.assert_allclose(folded @ W2, hidden @ stacked, atol=1e-5)


def test_two_unequal_shares_give_every_bit_back():
    shares = expand.copy_shares(2, 7, "unequal")
    hidden = rng.normal(size=(50, 7)).astype("float32")
    both = ops.array(np.concatenate([hidden, hidden], axis=-1))
    folded = ops.convert_to_numpy(expand.fold_copies(both, shares))
    np.testing.assert_array_equal(folded, hidden)


def test_zero_padding_preserves_the_mlp():
    up = ops.convert_to_numpy(expand.pad_width(ops.array(W1), 9, 1))
    down = ops.convert_to_numpy(expand.pad_width(ops.array(W2), 9, 0))
    np.testing.assert_allclose(
        np.tanh(X @ up) @ down, np.tanh(X @ W1) @ W2, atol=1e-6
    )

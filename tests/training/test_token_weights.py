"""Tokens are weighted by their likelihood, by the cited formulas."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import supervised_logits
from keras_grow.training.token_weights import dft_weights
from keras_grow.training.token_weights import mask_unlikely

RATE = 0.05
ROWS, LENGTH = 2, 6


def data():
    rng = np.random.default_rng(1)
    y = rng.integers(4, 80, (ROWS, LENGTH)).astype("int32")
    weights = rng.uniform(0.5, 1.5, (ROWS, LENGTH)).astype("float32")
    weights[:, :2] = 0.0
    return token_batch(ROWS, LENGTH), y, weights


def probabilities(lm, x, y):
    """Probability of every label from all the logits, in NumPy."""
    logits = ops.convert_to_numpy(lm(x)).astype("float64")
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    all_of_them = exponentials / exponentials.sum(-1, keepdims=True)
    return np.take_along_axis(all_of_them, y[..., None], -1)[..., 0]


def step(lm, weights, **options):
    """The loss of one step of plain gradient descent, and what moved."""
    x, y, _ = data()
    lm.compile(
        optimizer=keras.optimizers.SGD(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="sum"
        ),
        weighted_metrics=[],
    )
    supervised_logits(lm, chunk_size=4, **options)
    evaluated = float(lm.test_on_batch(x, y, weights))
    before = [np.array(ops.convert_to_numpy(w)) for w in lm.trainable_weights]
    loss = float(lm.train_on_batch(x, y, weights))
    after = [ops.convert_to_numpy(w) for w in lm.trainable_weights]
    moved = [b - a for a, b in zip(before, after, strict=True)]
    return loss, moved, evaluated


def test_dft_weighs_each_token_by_its_own_probability_without_a_gradient():
    lm, plain = tiny_lm(num_layers=1), tiny_lm(num_layers=1)
    x, y, weights = data()
    p = probabilities(lm, x, y)
    loss, moved, evaluated = step(lm, weights, token_weights="dft")
    assert loss == pytest.approx((-p * np.log(p) * weights).sum(), rel=1e-4)
    # Evaluation measures the plain loss.
    assert evaluated == pytest.approx((-np.log(p) * weights).sum(), rel=1e-4)
    # A weight without a gradient is as good as one in the data.
    _, expected, _ = step(plain, (weights * p).astype("float32"))
    assert max(np.abs(m).max() for m in moved) > 1e-4
    for ours, theirs in zip(moved, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_stm_masks_tokens_that_the_base_of_a_growth_finds_unlikely():
    lm = tiny_lm(num_layers=1)
    x, y, weights = data()
    p = probabilities(lm, x, y)
    most = float(1 / np.median(p))
    keras_grow.grow_model(lm)
    for weight in lm.trainable_weights:
        weight.assign(weight + 0.1)
    found = mask_unlikely(lm, x, y, weights, most * 1.0001)
    np.testing.assert_array_equal(found, weights * (p >= np.median(p)))
    assert 0 < np.count_nonzero(found) < np.count_nonzero(weights)


def test_an_anchor_keeps_the_token_weights_and_others_are_refused():
    lm = supervised_logits(tiny_lm(num_layers=1), token_weights="dft")
    passages = token_batch(1, 4)
    anchor = keras_grow.KLAnchor(passages, top_k=2, batch_size=1)
    keras_grow.add_anchor(lm, anchor)
    assert lm.train_step.__self__.token_weights == "dft"
    with pytest.raises(ValueError, match="token_weights='x'"):
        supervised_logits(lm, token_weights="x")


def test_the_weight_of_a_token_is_a_probability_in_float32():
    logits = np.array([[2.0, -1.0, 0.5], [90.0, 0.0, -90.0]], "float32")
    found = dft_weights(ops.array([1, 2]), ops.cast(logits, "bfloat16"))
    wanted = np.exp(-1.0) / np.exp(logits[0]).sum()
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), [wanted, 0.0], rtol=1e-5, atol=1e-30
    )

"""A substitute for the anchor adds the loss that it cites."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow import KLAnchor
from keras_grow import add_anchor
from keras_grow.training.anchor_variants import replay
from keras_grow.training.anchor_variants import target_masked

X = token_batch(3, 6)
Y = np.random.default_rng(1).integers(4, 80, (3, 6)).astype("int32")
WEIGHTS = np.float32([[0, 1, 1, 1, 0, 0], [0, 0, 2, 1, 1, 0], [0] * 6])


def log_probs(lm):
    logits = ops.convert_to_numpy(lm(X)).astype("float64")
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def penalty(lm, anchor):
    """The anchor loss of the first step of a training."""
    lm.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    add_anchor(lm, anchor)
    before = [np.array(ops.convert_to_numpy(w)) for w in lm.trainable_weights]
    logs = lm.train_on_batch(X, Y, 0.0 * WEIGHTS, return_dict=True)
    moved = [
        np.abs(ops.convert_to_numpy(w) - b).max()
        for w, b in zip(lm.trainable_weights, before, strict=True)
    ]
    assert np.isfinite(moved).all()
    assert max(moved) > 1e-5
    return float(logs["anchor_loss"])


def test_replay_is_the_cross_entropy_of_the_text():
    lm = tiny_lm(num_layers=1)
    found = log_probs(lm)
    losses = [
        -found[row, place, X["token_ids"][row, place + 1]]
        for row, place in np.ndindex(3, 5)
        if X["padding_mask"][row, place + 1]
    ]
    anchor = replay(lm, KLAnchor(X, batch_size=3))
    assert penalty(lm, anchor) == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_target_is_masked_in_base_and_model():
    lm = tiny_lm(num_layers=1)
    base = log_probs(lm)
    # Every other token has a class: the divergence is that of the vocabulary.
    anchor = target_masked(lm, X, Y, WEIGHTS, batch_size=3, top_k=79)
    rng = np.random.default_rng(0)
    for weight in lm.trainable_weights:
        weight.assign(weight + 0.1 * rng.normal(size=weight.shape))
    model = log_probs(lm)
    values = []
    for row, place in zip(*np.nonzero(WEIGHTS), strict=True):
        p, q = (
            np.delete(np.exp(each[row, place]), Y[row, place])
            for each in (base, model)
        )
        p, q = p / p.sum(), q / q.sum()
        values.append((p * np.log(p / q)).sum())
    assert penalty(lm, anchor) == pytest.approx(np.mean(values), rel=1e-3)

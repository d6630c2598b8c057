"""A chunked sum over weighted positions equals the sum written out."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_grow.training.chunks import sum_over_positions
from keras_grow.training.gradients import value_and_gradients

POSITIONS, HIDDEN, VOCABULARY = 23, 4, 9


def head(trainable: bool) -> keras.layers.Layer:
    layer = keras.layers.ReversibleEmbedding(VOCABULARY, HIDDEN)
    layer.build((None,))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=(VOCABULARY, HIDDEN))])
    layer.trainable = trainable
    return layer


def problem(supervised: int):
    rng = np.random.default_rng(supervised)
    hidden = rng.normal(size=(POSITIONS, HIDDEN)).astype("float32")
    weights = np.zeros(POSITIONS, "float32")
    where = rng.permutation(POSITIONS)[:supervised]
    weights[where] = rng.uniform(0.5, 2.0, supervised)
    return hidden, weights, rng.integers(0, VOCABULARY, POSITIONS)


def written_out(hidden, kernel, weights, labels):
    """The weighted cross-entropy and its two gradients, in float64."""
    hidden, kernel = hidden.astype("float64"), kernel.astype("float64")
    logits = hidden @ kernel.T
    logits -= logits.max(-1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(-1, keepdims=True)
    value = -(np.log(p[np.arange(POSITIONS), labels]) * weights).sum()
    p[np.arange(POSITIONS), labels] -= 1
    p *= weights[:, None]
    return value, p @ kernel, p.T @ hidden


def chunked(layer, hidden, weights, labels, chunk_size, seen=None):
    def term(hidden, weights, targets, state):
        if seen is not None:
            seen.append(hidden.shape[0])
        logits = layer(hidden, reverse=True)
        values = ops.sparse_categorical_crossentropy(
            targets[0], logits, from_logits=True
        )
        used = ops.sum(ops.cast(weights != 0, "float32"))
        return ops.sum(values * weights), [state[0] + used]

    return sum_over_positions(
        term,
        layer,
        ops.convert_to_tensor(hidden),
        ops.convert_to_tensor(weights),
        [ops.convert_to_tensor(labels)],
        state=[ops.zeros(())],
        chunk_size=chunk_size,
    )


@pytest.mark.parametrize("supervised", [0, 1, 5, 8, 9, 16, 23])
def test_value_and_gradients_equal_those_written_out(supervised):
    hidden, weights, labels = problem(supervised)
    layer = head(trainable=True)
    kernel = np.array(layer.embeddings)

    def loss(hidden, kernel):
        with keras.StatelessScope([(layer._embeddings, kernel)]):
            total, (count,) = chunked(layer, hidden, weights, labels, 8)
        return total * 3.0, count

    value, count, gradients = value_and_gradients(
        loss, [ops.convert_to_tensor(hidden), ops.convert_to_tensor(kernel)]
    )
    expected = written_out(hidden, kernel, weights, labels)
    np.testing.assert_allclose(value, 3 * expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients[0], 3 * expected[1], atol=1e-5)
    np.testing.assert_allclose(gradients[1], 3 * expected[2], atol=1e-5)
    assert count == supervised


def test_a_frozen_head_gets_no_gradient(monkeypatch):
    hidden, weights, labels = problem(9)
    layer = head(trainable=False)
    asked = []

    def spy(value, arguments, gradients):
        asked.append((len(arguments), len(gradients)))
        return value

    monkeypatch.setattr("keras_grow.training.chunks.with_gradients", spy)
    chunked(layer, hidden, weights, labels, 8)
    assert asked == [(1, 1)]


@pytest.mark.parametrize("supervised", [1, 8, 23])
def test_no_chunk_is_larger_than_asked(supervised):
    seen = []
    chunked(head(True), *problem(supervised), 8, seen)
    assert max(seen) <= 8

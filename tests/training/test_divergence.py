"""The divergence on the likeliest tokens, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_grow.training.divergence import bucketed_log_probs
from keras_grow.training.divergence import divergence
from keras_grow.training.divergence import likeliest
from keras_grow.training.gradients import value_and_gradients

POSITIONS, VOCABULARY = 5, 12


def logits(seed, scale=2.0):
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=(POSITIONS, VOCABULARY))).astype("float32")


def softmax(x):
    e = np.exp(x.astype("float64") - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def classes(p, indices):
    """Probabilities of the chosen tokens, and of the others together."""
    chosen = np.take_along_axis(p, indices, -1)
    others = p.copy()
    np.put_along_axis(others, indices, 0.0, -1)
    return np.concatenate([chosen, others.sum(-1, keepdims=True)], -1)


def kl(p, q):
    return (p * np.log(p / q)).sum(-1)


def measured(base, model, k, direction="base_to_model"):
    indices, log_p = likeliest(ops.convert_to_tensor(base), k)
    log_q = bucketed_log_probs(ops.convert_to_tensor(model), indices)
    value = divergence(log_p, log_q, direction)
    return np.array(value), np.array(indices)


@pytest.mark.parametrize("direction", ["base_to_model", "model_to_base"])
@pytest.mark.parametrize("k", [1, 4, VOCABULARY - 1])
def test_value_is_that_of_numpy(k, direction):
    base, model = logits(0), logits(1)
    value, indices = measured(base, model, k, direction)
    p, q = classes(softmax(base), indices), classes(softmax(model), indices)
    expected = kl(p, q) if direction == "base_to_model" else kl(q, p)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("k", [VOCABULARY - 1, VOCABULARY])
def test_with_a_class_for_every_token_it_is_the_true_divergence(k):
    base, model = logits(0), logits(1)
    value, _ = measured(base, model, k)
    np.testing.assert_allclose(value, kl(softmax(base), softmax(model)), 1e-5)


def test_it_is_a_lower_bound_of_the_true_divergence():
    base, model = logits(0), logits(1)
    values = [measured(base, model, k)[0] for k in (1, 4, 11)]
    assert (np.diff(values, axis=0) > -1e-5).all()


def test_the_likeliest_tokens_are_chosen():
    base = logits(0)
    _, indices = measured(base, base, 3)
    best = np.argsort(-base, axis=-1)[:, :3]
    np.testing.assert_array_equal(np.sort(indices, -1), np.sort(best, -1))


@pytest.mark.parametrize("scale", [2.0, 30.0])
def test_value_and_gradient_vanish_where_the_model_is_the_base(scale):
    # At 30 the likeliest tokens hold all the mass that float32 can tell.
    base = ops.convert_to_tensor(logits(0, scale))
    indices, log_p = likeliest(base, 4)

    def total(model):
        log_q = bucketed_log_probs(model, indices)
        return ops.sum(divergence(log_p, log_q)), ()

    value, _, (gradient,) = value_and_gradients(total, [base])
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, np.zeros_like(base), atol=5e-6)


def test_the_gradient_is_that_of_numpy():
    base, model = logits(0), logits(1)
    indices, log_p = likeliest(ops.convert_to_tensor(base), 4)

    def total(model):
        log_q = bucketed_log_probs(model, indices)
        return ops.sum(divergence(log_p, log_q)), ()

    _, _, (gradient,) = value_and_gradients(
        total, [ops.convert_to_tensor(model)]
    )
    # d/dz of -sum_c p_c log q_c: what the model gives a token less its share
    # of what the base gives the token's class.
    q = softmax(model)
    p_class = classes(softmax(base), np.array(indices))
    q_class = classes(q, np.array(indices))
    expected = q * (1 - p_class[:, -1:] / q_class[:, -1:])
    chosen = q_class[:, :-1] - p_class[:, :-1]
    np.put_along_axis(expected, np.array(indices), chosen, -1)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)

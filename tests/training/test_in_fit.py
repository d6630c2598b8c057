"""A running `fit` is detected from any model that shares its weights."""

import threading

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import perplexity
from keras_grow.growth.in_fit import check_not_in_fit
from keras_grow.growth.in_fit import loop_over

DATA = {"x": token_batch(4, 8), "y": token_batch(4, 8, seed=1)["token_ids"]}
BACKEND = keras.config.backend()


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(num_layers=1)


def during(lm, event, function, loop="fit"):
    """What `function()` returns in a callback of `loop`, or its error."""
    seen = []

    def call(*_, **__):
        try:
            seen.append(function())
        except ValueError as error:
            seen.append(error)

    callback = keras.callbacks.LambdaCallback()
    setattr(callback, event, call)
    lm.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    getattr(lm, loop)(**DATA, batch_size=2, verbose=0, callbacks=[callback])
    return seen[0]


def sibling(lm):
    return type(lm)(backbone=lm.backbone, preprocessor=None)


def around(lm):
    inputs = lm.backbone.input
    return keras.Model(inputs, keras.layers.Dense(2)(lm.backbone(inputs)))


EVENTS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
)


@pytest.mark.parametrize("event", EVENTS)
def test_the_model_itself_is_seen_in_every_callback(lm, event):
    assert during(lm, event, lambda: loop_over(lm)) == "fit"
    assert loop_over(lm) is None


@pytest.mark.parametrize("other", [sibling, around, lambda lm: lm.backbone])
def test_models_over_the_same_weights_are_seen(lm, other):
    model = other(lm)
    error = during(
        lm, "on_train_batch_end", lambda: check_not_in_fit(model, "grow_model")
    )
    assert "`grow_model` changes the layers" in str(error)
    assert "running `fit`" in str(error)


def test_another_model_is_not_affected(lm):
    other = tiny_lm(num_layers=1)
    assert during(lm, "on_train_batch_end", lambda: loop_over(other)) is None
    check_not_in_fit(lm, "grow_model")


def test_evaluate_is_a_loop_too(lm):
    seen = during(lm, "on_test_batch_end", lambda: loop_over(lm), "evaluate")
    assert seen == "evaluate"


def test_another_thread_is_seen(lm):
    def elsewhere():
        found = []
        thread = threading.Thread(target=lambda: found.append(loop_over(lm)))
        thread.start()
        thread.join()
        return found[0]

    assert during(lm, "on_train_batch_end", elsewhere) == "fit"


def test_scoring_in_a_batch_callback_says_what_to_do():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    lm.preprocessor, preprocessor = None, lm.preprocessor
    scorer = Scorer(lm, preprocessor.tokenizer, max_length=8)

    def score():
        return perplexity(scorer, "hello world").score

    expected = score()
    got = during(lm, "on_train_batch_end", score)
    if BACKEND == "jax":
        assert "EvaluateDuringFit" in str(got)
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-5)
    got = during(lm, "on_epoch_end", score)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_growth_is_saved_after_an_epoch_and_on_jax_not_within(tmp_path):
    lm = keras_grow.grow_model(tiny_lm(num_layers=1))
    path = tmp_path / "lm.grow.safetensors"

    def save():
        keras_grow.save_growth(lm, path)
        return path.exists()

    got = during(lm, "on_train_batch_end", save)
    if BACKEND == "jax":
        assert "`save_growth` reads the weights" in str(got)
        assert "on_epoch_end" in str(got)
        assert not path.exists()
    else:
        assert got is True
    assert during(lm, "on_epoch_end", save) is True
    keras_grow.load_growth(tiny_lm(num_layers=1), path)


def test_missing_weights_are_reported():
    if BACKEND != "jax":
        pytest.skip("only JAX takes weights out of a model")
    lm = tiny_lm(tokenizer=True, num_layers=1)
    lm.backbone.weights[0]._value = None
    with pytest.raises(ValueError, match="lost them"):
        perplexity(lm, "hello world")

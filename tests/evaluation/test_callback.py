"""Scores taken during `fit` see the weights of their step."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow.evaluation import EvaluateDuringFit
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import multiple_choice
from keras_grow.tasks import Example

STEPS = 4


def data():
    x = token_batch(batch=2 * STEPS)
    y = np.roll(x["token_ids"], -1, axis=1)
    return x, y


def compiled_lm():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    tokenizer, lm.preprocessor = lm.preprocessor.tokenizer, None
    lm.compile(optimizer=keras.optimizers.SGD(0.5))
    return lm, Scorer(lm, tokenizer)


def retention(scorer):
    return float(loglikelihood(scorer, ["hello"], [" world"]).logprob[0])


def fit(model, x, y, callbacks, **options):
    return model.fit(
        x,
        y,
        batch_size=2,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
        **options,
    ).history


def fit_any_model(callbacks, epochs=1, **options):
    """Train a model that compiles quickly, six steps per epoch."""
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", **options)
    x = np.ones((12, 3), dtype="float32")
    return fit(model, x, x[:, :1], callbacks, epochs=epochs)


def test_scores_are_of_the_weights_at_their_step():
    lm, scorer = compiled_lm()
    expected = [retention(scorer)]
    x, y = data()
    for step in range(STEPS):
        rows = slice(2 * step, 2 * step + 2)
        lm.train_on_batch({name: x[name][rows] for name in x}, y[rows])
        expected.append(retention(scorer))
    lm, scorer = compiled_lm()
    watch = EvaluateDuringFit({"retention": lambda _: retention(scorer)}, 1)
    fit(lm, *data(), [watch])
    values = [row["value"] for row in watch.history]
    assert [row["step"] for row in watch.history] == list(range(STEPS + 1))
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    assert len(set(values)) == STEPS + 1


def test_the_logs_of_an_epoch_have_the_newest_values():
    scorer = Scorer(tiny_lm(tokenizer=True, num_layers=1))
    question = Example("hello", " a", choices=(" a", " dog"), gold=0)
    watch = EvaluateDuringFit(
        {"retention": lambda _: multiple_choice(scorer, [question])}, every=4
    )
    logs = fit_any_model([watch], epochs=2)
    assert [row["step"] for row in watch.history] == [0, 4, 8, 12]
    assert len(logs["retention"]) == 2
    assert logs["retention"][1] == watch.history[-1]["value"]
    assert watch.history[0]["result"]["metric"] == "multiple_choice"


def test_early_stopping_watches_forgetting():
    falling = iter(range(100, 0, -1))
    watch = EvaluateDuringFit({"retention": lambda _: next(falling)})
    stop = keras.callbacks.EarlyStopping("retention", mode="max", patience=1)
    logs = fit_any_model([watch, stop], epochs=5)
    assert logs["retention"] == [99.0, 98.0]


def test_chosen_steps_with_several_steps_per_execution():
    rows = []
    watch = EvaluateDuringFit(
        {"retention": lambda _: 1.0},
        every=[1, 5],
        at_start=False,
        on_result=rows.append,
    )
    # On PyTorch Keras has only one step per execution.
    several = 1 if keras.backend.backend() == "torch" else 2
    fit_any_model([watch], steps_per_execution=several)
    expected = [1, 5] if several == 1 else [2, 6]
    assert [row["step"] for row in rows] == expected


def test_a_score_that_evaluates_leaves_the_means_of_the_epoch():
    x = np.ones((12, 3), dtype="float32")

    def losses(callbacks):
        zeros = keras.layers.Dense(1, kernel_initializer="zeros")
        model = keras.Sequential([zeros])
        model.compile(optimizer="sgd", loss="mse")
        return fit(model, x, x[:, :1], callbacks)["loss"]

    scores = {"own": lambda model: model.evaluate(x, x[:, :1], verbose=0)}
    assert losses([EvaluateDuringFit(scores, every=2)]) == losses([])


def test_a_score_that_fails_leaves_the_means_of_the_epoch():
    x = np.ones((12, 3), dtype="float32")
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    seen = []

    def fails(model):
        seen.append(float(model.metrics[0].result()))
        model.evaluate(x, x[:, :1], verbose=0, batch_size=1)
        raise OSError("no room")

    watch = EvaluateDuringFit({"own": fails}, every=2, at_start=False)
    with pytest.raises(OSError, match="no room"):
        fit(model, x, x[:, :1], [watch])
    assert [float(model.metrics[0].result())] == seen


@pytest.mark.no_backend
def test_misuse_is_refused():
    with pytest.raises(ValueError, match="at least one score"):
        EvaluateDuringFit({})
    for every in (0, -1, [0], True, 2.0, "2"):
        with pytest.raises(ValueError, match="`every` to be an int of 1"):
            EvaluateDuringFit({"retention": lambda _: 0.0}, every=every)

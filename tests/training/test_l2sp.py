"""Decay toward the start, against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm

import keras_grow
from keras_grow import L2SP

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 2)).astype("float32")
RATE, LEARNING_RATE = 0.5, 0.1


def model(**options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2, use_bias=False)]
    )
    model.compile(keras.optimizers.SGD(LEARNING_RATE), "mse", **options)
    return model


def test_every_update_is_followed_by_the_pull():
    lm = model()
    start = w = lm.get_weights()[0].astype("float64")
    callback = L2SP(lm, RATE)
    lm.fit(
        X,
        Y,
        batch_size=2,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
    )
    for _ in range(3):
        for i in range(0, 6, 2):
            error = X[i : i + 2] @ w - Y[i : i + 2]
            w = w - LEARNING_RATE * 2 * X[i : i + 2].T @ error / error.size
            w = w - LEARNING_RATE * RATE * (w - start)
    np.testing.assert_allclose(lm.get_weights()[0], w, atol=1e-6)


def test_a_resumed_training_decays_to_the_original_start():
    lm = model()
    callback = L2SP(lm, RATE)
    start = lm.get_weights()[0]
    lm.set_weights([start + 1.0])
    lm.optimizer.learning_rate = 1.0
    callback.set_model(lm)
    callback.on_train_batch_end(0)
    np.testing.assert_allclose(
        lm.get_weights()[0], start + 1.0 - RATE, rtol=1e-6
    )


def test_one_copy_of_the_trainable_variables_is_held():
    lm = keras_grow.grow_model(tiny_lm(num_layers=1))
    held = L2SP(lm).start
    assert [v.path for v, _ in held] == [v.path for v in lm.trainable_variables]
    for variable, copy in held:
        np.testing.assert_array_equal(
            ops.convert_to_numpy(variable), ops.convert_to_numpy(copy)
        )


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="rate=0"):
        L2SP(model(), rate=0)
    with pytest.raises(ValueError, match="1 trainable variables"):
        model().fit(X, Y, verbose=0, callbacks=[L2SP(model())])
    if keras.config.backend() != "torch":
        lm = model(steps_per_execution=2)
        with pytest.raises(ValueError, match="steps_per_execution=2"):
            lm.fit(X, Y, verbose=0, callbacks=[L2SP(lm)])

"""Metrics do not depend on which call comes first after `compile`."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

X = token_batch(4, 6)
WEIGHTS = np.ones((4, 6), "float32")


@pytest.fixture(scope="module")
def lm():
    return keras_grow.grow_model(tiny_lm(num_layers=1))


def compiled(lm):
    lm.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="a")],
    )
    return lm


def evaluate(lm, data):
    return lm.evaluate(**data, batch_size=2, verbose=0, return_dict=True)["a"]


def test_on_batch(lm, data):
    return lm.test_on_batch(**data, return_dict=True)["a"]


def train_on_batch(lm, data):
    return lm.train_on_batch(**data, return_dict=True)["a"]


def fit_one_batch(lm, data):
    history = lm.fit(**data, batch_size=4, verbose=0).history
    return history["a"][0]


@pytest.mark.parametrize("supervised", [False, True])
@pytest.mark.parametrize(
    "first", [evaluate, test_on_batch, train_on_batch, fit_one_batch]
)
def test_accuracy_is_measured_from_the_first_call(lm, first, supervised):
    labels = keras.ops.convert_to_numpy(lm(X)).argmax(-1).astype("int32")
    data = {"x": X, "y": labels, "sample_weight": WEIGHTS}
    keras_grow.supervised_logits(compiled(lm), enabled=supervised)
    assert [first(lm, data), evaluate(lm, data)] == [1.0, 1.0]


test_on_batch.__test__ = False

"""A training method of the user's own is refused, never bypassed."""

import types

import keras
import keras_hub
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow import supervised_logits
from keras_grow.training.overrides import _METHODS


@pytest.fixture(scope="module")
def backbone():
    return tiny_lm(num_layers=1).backbone


def task(backbone, **methods):
    cls = type("Mine", (keras_hub.models.Gemma3CausalLM,), methods)
    return cls(backbone=backbone, preprocessor=None)


def own(name):
    """A subclass's version of a method of Keras that does the same."""

    def method(self, *args, **kwargs):
        return getattr(keras_hub.models.Gemma3CausalLM, name)(
            self, *args, **kwargs
        )

    return method


@pytest.mark.parametrize("name", _METHODS)
def test_a_method_of_the_users_own_class_is_refused(backbone, name):
    lm = task(backbone, **{name: own(name)})
    with pytest.raises(ValueError, match=f"`{name}` overridden in .*Mine"):
        supervised_logits(lm)
    assert "train_step" not in vars(lm)


def test_a_method_put_on_the_object_is_refused(backbone):
    lm = task(backbone)
    lm.train_step = types.MethodType(own("train_step"), lm)
    with pytest.raises(ValueError, match="overridden in the model itself"):
        supervised_logits(lm)
    assert "train_step" in vars(lm)


def test_methods_that_are_not_replaced_stay_the_users(backbone):
    seen = []

    def fit(self, *args, **kwargs):
        seen.append("fit")
        return keras_hub.models.Gemma3CausalLM.fit(self, *args, **kwargs)

    lm = supervised_logits(task(backbone, fit=fit))
    supervised_logits(lm, chunk_size=8)
    lm.compile(
        optimizer=keras.optimizers.SGD(0.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batch = token_batch(2, 4)
    lm.fit(batch, np.ones((2, 4), "int32"), verbose=0)
    assert seen == ["fit"]

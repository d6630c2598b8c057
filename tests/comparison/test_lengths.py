"""A run shortens its rows to the tokens they need, and learns the same."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.method_training import lengths_of_updates
from keras_grow.comparison.method_training import prepare
from keras_grow.tasks.example import Example

METHOD = Method("grown", "g_freeze", 1e-2, layers=1)
PLAN = Plan(
    model="",
    task="",
    methods=(METHOD,),
    updates=6,
    batch_size=2,
    sequence_length=64,
)
EXAMPLES = tuple(
    Example("the quick brown fox " * (1 + 5 * (i == 3)), " jumps over")
    for i in range(6)
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(str(folder))
    return str(folder)


def test_updates_on_shortened_rows_train_as_on_full_rows(model):
    plan = dataclasses.replace(PLAN, model=model)
    losses, weights = [], []
    for lengths in ((64,), (24, 64)):
        training = prepare(plan, METHOD, 1e-2, 0, EXAMPLES)
        training = training._replace(lengths=lengths)
        parts = [training.update(0, 2), training.update(2, 6)]
        assert [step for step, _ in parts] == [2, 6]
        losses.append([loss for _, loss in parts])
        weights.append(
            [ops.convert_to_numpy(w) for w in training.lm.trainable_weights]
        )
    assert losses[0][1] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    for cut, whole in zip(*weights, strict=True):
        np.testing.assert_allclose(cut, whole, atol=1e-4)


def test_a_length_is_compiled_if_its_updates_repay_it():
    used = np.array([10] * 99 + [100])
    few = dataclasses.replace(PLAN, updates=6, batch_size=8)
    many = dataclasses.replace(PLAN, updates=1000, batch_size=8)
    grouped = dataclasses.replace(many, group_lengths=True)
    if keras.config.backend() == "torch":
        # Nothing is compiled there.
        assert lengths_of_updates(used, 128, few, 0) == (*range(1, 129),)
        return
    assert len(lengths_of_updates(used, 128, few, 0)) == 2
    assert lengths_of_updates(used, 128, many, 0) == (16, 104, 128)
    assert lengths_of_updates(used, 128, grouped, 0) == (16, 104, 128)
    # No length is above that of a row.
    assert lengths_of_updates(used, 100, many, 0) == (16, 100)

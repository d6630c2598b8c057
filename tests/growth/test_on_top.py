"""A growth trains, and is turned on, with the growths beneath it."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import LowerStates
from keras_grow.growth.state import ModelState

BATCH = token_batch()
TARGETS = token_batch(seed=1)["token_ids"]
pytestmark = pytest.mark.usefixtures("little_garbage")


def outputs(model):
    return ops.convert_to_numpy(model(BATCH))


def grown(name, seed):
    """A model with one growth that differs from its base."""
    lm = tiny_lm(num_layers=2)
    keras_grow.grow_model(lm, name=name, layers=[1])
    return move(lm, seed)


def move(lm, seed):
    rng = np.random.default_rng(seed)
    for weight in lm.trainable_weights:
        noise = rng.normal(0, 0.3, weight.shape)
        weight.assign(ops.convert_to_numpy(weight) + noise)
    return lm


def compiled(lm):
    lm.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return lm


@pytest.fixture
def stacked():
    """`science`, made on `french` at 0.5."""
    lm = grown("french", 1)
    keras_grow.set_growths(lm, {"french": 0.5})
    keras_grow.grow_model(lm, name="science", layers=[1])
    return move(lm, 2)


@pytest.fixture
def side_by_side(tmp_path):
    """`french` and `science`, each made on the bare base, both active."""
    lm = tiny_lm(num_layers=2)
    for seed, name in enumerate(("french", "science")):
        path = tmp_path / name
        keras_grow.save_growth(grown(name, seed), path)
        keras_grow.load_growth(lm, path)
    return lm


def scales(lm):
    return {name: g.scale for name, g in keras_grow.growths(lm).items()}


def test_a_growth_is_turned_on_with_those_beneath_it(stacked):
    expected = outputs(stacked)
    keras_grow.set_growths(stacked, {})
    keras_grow.set_growths(stacked, "science")
    assert scales(stacked) == {"french": 0.5, "science": 1.0}
    np.testing.assert_array_equal(outputs(stacked), expected)
    keras_grow.set_growths(stacked, "french")
    assert scales(stacked) == {"french": 1.0, "science": 0.0}
    keras_grow.set_growths(stacked, {"science": 1.0})
    assert scales(stacked) == {"french": 0.0, "science": 1.0}


def test_a_growth_trains_only_with_those_beneath_it(side_by_side):
    lm = compiled(side_by_side)
    before = lm.get_weights()
    for enabled in (True, False):
        keras_grow.supervised_logits(lm, enabled)
        with pytest.raises(ValueError, match=r"no others: \{\}. .*'french': 1"):
            lm.fit(BATCH, TARGETS, verbose=0)
    with pytest.raises(ValueError, match="no others"):
        lm.train_on_batch(BATCH, TARGETS)
    with pytest.raises(ValueError, match="no others"):
        LowerStates(lm, {**BATCH}, "unused")
    for a, b in zip(before, lm.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    keras_grow.set_growths(lm, "science")
    lm.fit(BATCH, TARGETS, verbose=0)


def test_a_growth_trained_on_others_is_the_same_when_loaded(
    side_by_side, tmp_path
):
    lm = compiled(keras_grow.grow_model(side_by_side, name="third"))
    lm.fit(BATCH, TARGETS, verbose=0)
    for name in ("french", "science", "third"):
        keras_grow.save_growth(lm, tmp_path / name, name)
    loaded = tiny_lm(num_layers=2)
    for name in ("french", "science", "third"):
        keras_grow.load_growth(loaded, tmp_path / name)
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))


@pytest.mark.parametrize("french", [0.0, 1.0])
def test_growths_beneath_one_that_trains_keep_their_scales(stacked, french):
    lm = compiled(stacked)
    keras_grow.set_growths(lm, {"french": french, "science": 1.0})
    with pytest.raises(ValueError, match=r"set_growths.model, 'science'"):
        lm.fit(BATCH, TARGETS, verbose=0)
    keras_grow.set_growths(lm, {"french": 0.5, "science": 0.7})
    lm.fit(BATCH, TARGETS, verbose=0)


def test_a_growth_that_would_get_nothing_of_the_base_is_refused(side_by_side):
    lm = side_by_side
    before = outputs(lm)
    with pytest.raises(ValueError, match=r"of block 1 .*nothing of the base"):
        keras_grow.grow_model(lm, strategy="g_freeze_up", name="third")
    assert list(keras_grow.growths(lm)) == ["french", "science"]
    np.testing.assert_array_equal(outputs(lm), before)
    # G-Freeze has a down-projection of its own, which moves first.
    keras_grow.grow_model(lm, name="third")
    assert ModelState.of(lm).grown_layers[-1].base_shares[-1] == 0.0


def test_layers_that_would_get_nothing_of_the_base_are_refused():
    up, down = keras.layers.Dense(8, "relu"), keras.layers.Dense(4)
    keras.Sequential([keras.Input((4,)), up, down])
    (up,), down = keras_grow.grow_mlp(up, down)
    for layer in (up, down):
        layer.set_scales([2.0])
    with pytest.raises(ValueError, match=r"nothing of the base"):
        keras_grow.grow_mlp(up, down, strategy="g_freeze_up")

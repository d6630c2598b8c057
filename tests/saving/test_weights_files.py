"""A weights file of one growth is refused by a model with another."""

import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()
GROWTHS = {
    "once": [{}],
    "twice": [{}, {}],
    "zero_down": [{"init": "zero_down"}],
    "factor 3": [{"factor": 3}],
    "up alone": [{"strategy": "g_freeze_up"}],
    "g_train of 2": [{"strategy": "g_train"}],
    "g_train of 3": [{"strategy": "g_train", "factor": 3}],
    "unequal": [{"strategy": "g_train", "shares": "unequal"}],
    "another name": [{"name": "french"}],
}


def grown(growths, scale=1.0):
    lm = tiny_lm("gemma3", num_layers=1)
    for options in growths:
        keras_grow.grow_model(lm, **options)
    if scale != 1.0:
        keras_grow.set_growths(lm, {"growth_1": scale})
    return lm


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    saved = {name: grown(growths) for name, growths in GROWTHS.items()}
    saved["half"] = grown([{}], 0.5)
    saved["base"] = tiny_lm("gemma3", num_layers=1)
    for name, lm in saved.items():
        lm.save_weights(folder / f"{name}.weights.h5")
    return folder


@pytest.mark.parametrize("name", GROWTHS)
def test_a_weights_file_loads_into_the_growth_it_is_of_alone(files, name):
    lm = grown(GROWTHS[name])
    expected = ops.convert_to_numpy(lm(BATCH))
    for weight in lm.trainable_weights:
        weight.assign(ops.convert_to_numpy(weight) + 1.0)
    for other in (*GROWTHS, "half", "base"):
        if other != name:
            # Keras warns before it refuses the file of a base.
            with pytest.raises((ValueError, UserWarning)):
                lm.load_weights(files / f"{other}.weights.h5")
    lm.load_weights(files / f"{name}.weights.h5")
    np.testing.assert_array_equal(ops.convert_to_numpy(lm(BATCH)), expected)


def test_the_message_says_what_both_have(files):
    lm = grown([{"init": "zero_down"}])
    with pytest.raises(ValueError, match="weights of the growth") as error:
        lm.load_weights(files / "once.weights.h5")
    assert '"base_shares": [0.0]' in str(error.value)
    assert '"base_shares": [0.5]' in str(error.value)


def test_other_scales_are_refused_and_load_when_they_are_set(files):
    lm = grown([{}])
    with pytest.raises(ValueError, match="set the same scales"):
        lm.load_weights(files / "half.weights.h5")
    keras_grow.set_growths(lm, {"growth_1": 0.5})
    lm.load_weights(files / "half.weights.h5")

"""A weights file of one growth is refused by a model with another."""

import keras
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


def values(lm):
    return [ops.convert_to_numpy(weight) for weight in lm.weights]


def assert_unchanged(lm, before):
    for weight, value in zip(lm.weights, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)


@pytest.mark.parametrize("name", GROWTHS)
def test_a_weights_file_loads_only_into_its_own_growth(files, name):
    lm = grown(GROWTHS[name])
    expected = ops.convert_to_numpy(lm(BATCH))
    for weight in lm.trainable_weights:
        weight.assign(ops.convert_to_numpy(weight) + 1.0)
    before = values(lm)
    for other in (*GROWTHS, "half", "base"):
        if other != name:
            with pytest.raises(ValueError, match="Expected weights"):
                lm.load_weights(files / f"{other}.weights.h5")
            assert_unchanged(lm, before)
    lm.load_weights(files / f"{name}.weights.h5")
    np.testing.assert_array_equal(ops.convert_to_numpy(lm(BATCH)), expected)


def test_a_refused_file_of_any_format_changes_nothing(tmp_path):
    other = grown([{"name": "french"}])
    other.compile(optimizer="adam", loss="mse")
    other.optimizer.build(other.trainable_variables)
    other.optimizer.iterations.assign(7)
    other.save(tmp_path / "other.keras")
    other.save_weights(tmp_path / "other.weights.json", max_shard_size=1e-5)
    other.backbone.save_weights(tmp_path / "backbone.weights.h5")
    wider = tiny_lm("gemma3", num_layers=1, hidden_dim=32)
    keras_grow.grow_model(wider)
    wider.save_weights(tmp_path / "wider.weights.h5")
    lm = grown([{}])
    lm.compile(optimizer="adam", loss="mse")
    lm.optimizer.build(lm.trainable_variables)
    before = values(lm)
    files = ("other.keras", "other.weights.json", "wider.weights.h5")
    for model, file in (
        *((lm, file) for file in files),
        (lm.backbone, "backbone.weights.h5"),
    ):
        with pytest.raises(ValueError, match="Expected weights"):
            model.load_weights(tmp_path / file)
        assert_unchanged(lm, before)
        assert int(lm.optimizer.iterations) == 0


def test_slices_of_another_growth_are_skipped_and_not_loaded(files, tmp_path):
    other = grown([{"name": "french"}])
    for weight in other.weights:
        weight.assign(ops.convert_to_numpy(weight) + 1.0)
    other.save_weights(tmp_path / "other.weights.h5")
    for load in (
        lambda lm, file: lm.load_weights(file, skip_mismatch=True),
        lambda lm, file: keras.saving.load_weights(
            lm, file, skip_mismatch=True
        ),
    ):
        lm = grown([{}])
        slices = [ops.convert_to_numpy(w) for w in lm.trainable_weights]
        with pytest.warns(UserWarning, match="could not be loaded"):
            load(lm, tmp_path / "other.weights.h5")
        for weight, value in zip(lm.trainable_weights, slices, strict=True):
            np.testing.assert_array_equal(ops.convert_to_numpy(weight), value)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(lm.backbone.token_embedding.embeddings),
            ops.convert_to_numpy(other.backbone.token_embedding.embeddings),
        )
        # What was refused once is not refused for ever.
        lm.load_weights(files / "once.weights.h5")


def test_the_message_describes_both_growths(files):
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

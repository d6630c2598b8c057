"""A preset of a grown task keeps what the task has beside its backbone."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_hub import models
from tiny_models import tiny_lm
from tiny_models import token_batch
from tiny_tasks import tiny_classifier
from tiny_tasks import tiny_embedder

import keras_grow

BATCH = token_batch()
pytestmark = pytest.mark.usefixtures("little_garbage")


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def stir(lm):
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return lm


@pytest.mark.parametrize("task", [tiny_embedder, tiny_classifier])
def test_a_loaded_task_has_its_settings_and_its_head(tmp_path, task):
    lm = task()
    plain = type(lm)
    keras_grow.grow_model(lm)
    stir(lm).save_to_preset(str(tmp_path / "grown"))
    loaded = plain.from_preset(str(tmp_path / "grown"), preprocessor=None)
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))
    assert loaded.backbone.growths == lm.backbone.growths
    keras_grow.remove_growth(loaded)
    assert type(loaded) is plain


def test_a_task_made_over_a_grown_backbone_keeps_its_settings(tmp_path):
    lm = tiny_embedder()
    keras_grow.grow_model(lm.backbone)
    made = models.Gemma3TextEmbedder(
        backbone=stir(lm.backbone), preprocessor=None, pooling_mode="mean"
    )
    made.save_to_preset(str(tmp_path / "made"))
    loaded = models.Gemma3TextEmbedder.from_preset(
        str(tmp_path / "made"), preprocessor=None
    )
    assert loaded.pooling_mode == "mean"
    np.testing.assert_array_equal(outputs(loaded), outputs(made))


def test_a_merged_preset_names_the_plain_task(tmp_path):
    lm = tiny_embedder()
    plain = type(lm)
    keras_grow.grow_model(lm)
    merged = keras_grow.merge_growth(stir(lm))
    merged.save_to_preset(str(tmp_path / "merged"))
    text = (tmp_path / "merged/task.json").read_text("utf-8")
    assert "keras_grow" not in text
    loaded = plain.from_preset(str(tmp_path / "merged"), preprocessor=None)
    assert type(loaded) is plain
    np.testing.assert_array_equal(outputs(loaded), outputs(merged))


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="no int8 base on PyTorch"
)
def test_an_int8_model_comes_back_as_it_was(tmp_path):
    lm = tiny_lm("gemma3", tokenizer=True, num_layers=1)
    keras_grow.grow_model(lm)
    keras_grow.quantize_base(stir(lm))
    lm.save_to_preset(str(tmp_path / "int8"))
    loaded = models.CausalLM.from_preset(str(tmp_path / "int8"))
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))

"""Keras and KerasHub save and load grown models their own ways."""

import copy
import pickle

import keras
import numpy as np
import pytest
from keras import ops
from keras_hub import models
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()
TARGETS = np.roll(BATCH["token_ids"], -1, axis=1)


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def trained(tokenizer=False, family="gemma3", lora=False, **options):
    lm = tiny_lm(family, tokenizer=tokenizer, num_layers=2)
    keras_grow.grow_model(lm, **options)
    if lora:
        lm.backbone.enable_lora(2)
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return lm


def assert_same(loaded, lm):
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))
    assert [w.path for w in loaded.trainable_weights] == [
        w.path for w in lm.trainable_weights
    ]
    with keras_grow.growth_disabled(loaded), keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(outputs(loaded), outputs(lm))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": [1], "factor": 3},
        {"strategy": "g_freeze_up", "factor": 3},
        {"strategy": "g_train", "shares": "unequal"},
        {"family": "gemma2"},
        {"lora": True},
    ],
    ids=str,
)
def test_a_keras_file_round_trips(tmp_path, options):
    lm = trained(**options)
    lm.save(tmp_path / "lm.keras")
    assert_same(keras.saving.load_model(tmp_path / "lm.keras"), lm)


@pytest.mark.parametrize("lora", [None, "before", "after"])
def test_a_weights_file_round_trips(tmp_path, lora):
    lm = trained(lora=lora is not None)
    lm.save_weights(tmp_path / "lm.weights.h5")
    loaded = tiny_lm("gemma3", num_layers=2, seed=5)
    if lora == "before":
        loaded.backbone.enable_lora(2)
    keras_grow.grow_model(loaded)
    if lora == "after":
        loaded.backbone.enable_lora(2)
    loaded.load_weights(tmp_path / "lm.weights.h5")
    assert_same(loaded, lm)


@pytest.mark.parametrize("family", ["gemma", "gemma3"])
@pytest.mark.parametrize("lora", [False, True])
def test_a_preset_is_found_from_every_task_class(tmp_path, family, lora):
    lm = trained(tokenizer=True, family=family, lora=lora)
    keras_grow.grow_model(lm, layers=[0])
    lm.save_to_preset(str(tmp_path / "grown"))
    plain = type(lm)
    for cls in (models.CausalLM, plain):
        loaded = cls.from_preset(str(tmp_path / "grown"))
        assert isinstance(loaded, plain)
        assert_same(loaded, lm)
        assert loaded.backbone.growths == lm.backbone.growths
        assert (
            loaded.preprocessor.tokenizer("hello world").shape
            == lm.preprocessor.tokenizer("hello world").shape
        )
    backbone = models.Backbone.from_preset(str(tmp_path / "grown"))
    assert_same(backbone, lm.backbone)


def test_a_preset_can_be_loaded_in_another_dtype(tmp_path):
    lm = trained(tokenizer=True)
    lm.save_to_preset(str(tmp_path / "grown"))
    loaded = models.CausalLM.from_preset(
        str(tmp_path / "grown"), dtype="bfloat16"
    )
    assert loaded.backbone.token_embedding.embeddings.dtype == "bfloat16"
    assert {w.dtype for w in loaded.trainable_weights} == {"float32"}
    error = np.abs(outputs(loaded) - outputs(lm)).max()
    assert error < 0.1 * np.abs(outputs(lm)).max()


@pytest.mark.parametrize("part", ["task", "backbone", "block"])
def test_a_grown_model_is_pickled_and_copied(tmp_path, part):
    lm = trained()
    keras_grow.set_growths(lm, {"growth_1": 0.5})
    model = {
        "task": lm,
        "backbone": lm.backbone,
        "block": lm.backbone.transformer_layers[0],
    }[part]
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    if keras.config.backend() == "torch":
        import torch

        torch.save(model, tmp_path / "model.pt")
        copies.append(torch.load(tmp_path / "model.pt", weights_only=False))
    if part == "block":
        states = np.ones((2, 4, 16), "float32")
        for block in copies:
            np.testing.assert_array_equal(
                ops.convert_to_numpy(block(states)),
                ops.convert_to_numpy(model(states)),
            )
        return
    for loaded in copies:
        assert_same(loaded, model)
        assert keras_grow.growths(loaded)["growth_1"].scale == 0.5


def compiled():
    lm = trained()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2), loss=loss, weighted_metrics=[]
    )
    return lm


def test_model_checkpoint_keeps_the_best_weights(tmp_path):
    lm = compiled()
    file = tmp_path / "best.weights.h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        file, save_weights_only=True, monitor="loss", save_best_only=True
    )
    lm.fit(BATCH, TARGETS, epochs=2, verbose=0, callbacks=[checkpoint])
    loaded = compiled()
    loaded.optimizer.build(loaded.trainable_variables)
    loaded.load_weights(file)
    assert_same(loaded, lm)


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Killed


def test_backup_and_restore_goes_on_where_a_run_was_killed(tmp_path):
    def fit(lm, *callbacks):
        lm.fit(
            BATCH,
            TARGETS,
            epochs=4,
            verbose=0,
            shuffle=False,
            callbacks=list(callbacks),
        )
        return lm

    unbroken = fit(compiled())
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(Killed):
        fit(compiled(), backup, KillAfter(2))
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    resumed = fit(compiled(), backup)
    np.testing.assert_allclose(outputs(resumed), outputs(unbroken), atol=1e-5)

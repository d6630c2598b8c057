"""A grown model keeps its class, and its blocks know their growth."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_hub import models
from tiny_models import GEMMA3
from tiny_models import randomize
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.growth.state import ModelState

BATCH = token_batch()


def outputs(model):
    return ops.convert_to_numpy(model(BATCH))


class Tripled(models.Gemma3Backbone):
    """A user's backbone with a `call` of its own."""

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask) * 3.0


class Mine(models.Gemma3CausalLM):
    """A user's task."""

    def greet(self):
        return "hello"


@pytest.mark.exact
def test_a_users_subclasses_keep_their_classes():
    backbone = randomize(Tripled(**{**GEMMA3, "num_layers": 1}))
    lm = Mine(backbone=backbone, preprocessor=None)
    before, hidden = outputs(lm), outputs(backbone)
    keras_grow.grow_model(lm)
    assert isinstance(backbone, Tripled)
    assert lm.greet() == "hello"
    np.testing.assert_array_equal(outputs(backbone), hidden)
    np.testing.assert_array_equal(outputs(lm), before)
    keras_grow.remove_growth(lm)
    assert type(backbone) is Tripled
    assert type(lm) is Mine
    np.testing.assert_array_equal(outputs(backbone), hidden)


def test_verify_preserved_compares_with_the_original_class():
    """A grown class that computes something else is noticed."""
    backbone = randomize(Tripled(**{**GEMMA3, "num_layers": 1}))
    keras_grow.grow_model(backbone)
    assert keras_grow.verify_preserved(backbone, BATCH).exact
    plain = models.Gemma3Backbone.call
    try:
        type(backbone).call = lambda self, *args, **kwargs: plain(
            self, *args, **kwargs
        )
        report = keras_grow.verify_preserved(backbone, BATCH)
    finally:
        del type(backbone).call
    assert not report.exact


def test_a_model_from_a_preset_has_its_plain_class_after_removal(tmp_path):
    lm = tiny_lm("gemma3", tokenizer=True, num_layers=1)
    keras_grow.grow_model(lm)
    lm.save_to_preset(str(tmp_path / "grown"))
    loaded = models.CausalLM.from_preset(str(tmp_path / "grown"))
    keras_grow.remove_growth(loaded)
    assert type(loaded) is models.Gemma3CausalLM
    assert type(loaded.backbone) is models.Gemma3Backbone


def with_head(backbone):
    """A classifier on `backbone.output`, which holds the blocks one by one."""
    pooled = keras.layers.GlobalAveragePooling1D()(backbone.output)
    return keras.Model(backbone.input, keras.layers.Dense(3)(pooled))


@pytest.mark.parametrize("order", ["grown first", "head first"])
@pytest.mark.parametrize("strategy", ["g_freeze", "g_train"])
def test_a_head_on_a_grown_backbone_is_saved_and_loaded(
    tmp_path, order, strategy
):
    backbone = tiny_lm("gemma3", num_layers=2).backbone
    head = with_head(backbone) if order == "head first" else None
    keras_grow.grow_model(backbone, strategy=strategy, layers=[1])
    for weight in backbone.trainable_weights:
        weight.assign(ops.convert_to_numpy(weight) + 0.1)
    keras_grow.set_growths(backbone, {"growth_1": 0.5})
    head = head or with_head(backbone)
    head.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_array_equal(outputs(loaded), outputs(head))


def test_clone_model_clones_the_growth():
    backbone = tiny_lm("gemma3", num_layers=1).backbone
    keras_grow.grow_model(backbone)
    clone = keras.models.clone_model(backbone)
    assert len(clone.weights) == len(backbone.weights)
    values = [ops.convert_to_numpy(w) + 0.01 for w in backbone.weights]
    for model in (clone, backbone):
        model.set_weights(values)
    np.testing.assert_array_equal(outputs(clone), outputs(backbone))


def trainable(model):
    return {w.path for w in model.trainable_weights}


@pytest.mark.parametrize("part", ["task", "backbone"])
def test_setting_trainable_off_and_on_trains_the_growth_and_not_the_base(part):
    lm = tiny_lm("gemma3", num_layers=1)
    keras_grow.grow_model(lm)
    new = trainable(lm)
    model = lm if part == "task" else lm.backbone
    model.trainable = False
    assert not lm.trainable_weights
    model.trainable = True
    assert trainable(lm) == new
    lm.backbone.get_layer("final_normalization").trainable = True
    assert trainable(lm) == {*new, "final_normalization/scale"}


def test_removal_restores_what_was_trainable_before():
    lm = tiny_lm("gemma3", num_layers=2)
    lm.backbone.token_embedding.trainable = False
    lm.backbone.transformer_layers[0].trainable = False
    before = trainable(lm)
    keras_grow.grow_model(lm)
    keras_grow.grow_model(lm)
    keras_grow.remove_growth(lm)
    assert trainable(lm) == before


def phases():
    """Every call that changes the layers or the compiled functions."""
    return {
        "grow_model": lambda lm: keras_grow.grow_model(lm),
        "remove_growth": lambda lm: keras_grow.remove_growth(lm),
        "set_growths": lambda lm: keras_grow.set_growths(lm, {}),
        "quantize_base": lambda lm: keras_grow.quantize_base(lm),
    }


@pytest.mark.parametrize("what", phases())
def test_changes_of_structure_inside_fit_are_refused_and_training_goes_on(what):
    lm = tiny_lm("gemma3", num_layers=1)
    sibling = models.Gemma3CausalLM(backbone=lm.backbone, preprocessor=None)
    keras_grow.grow_model(lm)
    lm.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    refused = []

    def change(epoch, logs):
        for model in (lm, sibling):
            with pytest.raises(ValueError, match=f"`{what}` changes"):
                phases()[what](model)
            refused.append(model)

    callback = keras.callbacks.LambdaCallback(on_epoch_end=change)
    before = outputs(lm)
    targets = np.roll(BATCH["token_ids"], -1, axis=1)
    lm.fit(BATCH, targets, epochs=2, verbose=0, callbacks=[callback])
    assert len(refused) == 4
    assert np.isfinite(outputs(lm)).all()
    assert not np.array_equal(outputs(lm), before)
    assert ModelState.of(lm).names == ["growth_1"]


def test_a_task_made_over_a_grown_backbone_is_grown_by_its_first_dial():
    backbone = keras_grow.grow_model(tiny_lm("gemma3", num_layers=1).backbone)
    lm = models.Gemma3CausalLM(backbone=backbone, preprocessor=None)
    slices = [weight.path for weight in lm.trainable_weights]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    lm.compile(keras.optimizers.SGD(0.5), loss)
    keras_grow.set_growths(lm, {})
    with pytest.raises(RuntimeError, match="to be active"):
        lm.fit(BATCH, BATCH["token_ids"], verbose=0)
    lm.trainable = False
    lm.trainable = True
    assert [weight.path for weight in lm.trainable_weights] == slices
    keras_grow.remove_growth(lm)
    assert type(lm) is models.Gemma3CausalLM

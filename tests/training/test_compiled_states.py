"""A function compiled for one state of a model is never used for another.

The dial can be set through any model that shares the backbone. In between, a
model can be compiled again, anchored, or given other weights.
"""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.growth.state import ModelState

BATCH = token_batch()
pytestmark = pytest.mark.usefixtures("little_garbage")
TARGETS = np.roll(BATCH["token_ids"], -1, axis=1)
WEIGHTS = np.ones(TARGETS.shape, "float32")


def grown(**options):
    lm = keras_grow.grow_model(tiny_lm("gemma3", num_layers=1), **options)
    rng = np.random.default_rng(1)
    for layer in ModelState.of(lm).slices():
        for weight in layer.weights:
            noise = rng.normal(0, 0.3, weight.shape)
            weight.assign(ops.convert_to_numpy(weight) + noise)
    return lm


def compiled(lm, loss=None):
    default = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    lm.compile(keras.optimizers.SGD(0.1), loss or default, weighted_metrics=[])


def fitted(lm):
    """The logs of one update."""
    logs = keras.Model.fit(
        lm, BATCH, TARGETS, sample_weight=WEIGHTS, verbose=0
    ).history
    return {name: values[0] for name, values in logs.items()}


def computed(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def predicted(model):
    return compiled_outputs(model, BATCH)


def anchored(lm):
    anchor = keras_grow.KLAnchor(
        BATCH["token_ids"], top_k=8, weight=100.0, batch_size=2
    )
    keras_grow.add_anchor(lm, anchor)


def weighted(lm):
    keras_grow.supervised_logits(lm, token_weights="dft")


@pytest.mark.parametrize("change", [anchored, weighted])
def test_training_steps_set_at_another_scale_are_used(change):
    logs = []
    for away in (False, True):
        lm = grown(name="french")
        compiled(lm)
        fitted(lm)
        if away:
            keras_grow.set_growths(lm, {})
        change(lm)
        if away:
            keras_grow.set_growths(lm, "french")
        logs.append(fitted(lm))
    assert logs[0] == pytest.approx(logs[1])
    assert set(logs[0]) == set(logs[1])


def test_an_anchor_removed_at_another_scale_stays_removed():
    lm = grown(name="french")
    compiled(lm)
    anchored(lm)
    assert "anchor_loss" in fitted(lm)
    keras_grow.set_growths(lm, {})
    keras_grow.add_anchor(lm, None)
    keras_grow.set_growths(lm, "french")
    assert "anchor_loss" not in fitted(lm)


class _Seven(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.sum(y_pred, axis=-1) * 0.0 + 7.0


@pytest.mark.parametrize("switch", [False, True])
def test_a_loss_compiled_at_another_scale_is_used(switch):
    lm = grown(name="french")
    compiled(lm)
    fitted(lm)
    if switch:
        with keras_grow.growth_disabled(lm):
            compiled(lm, _Seven())
    else:
        keras_grow.set_growths(lm, {})
        compiled(lm, _Seven())
        keras_grow.set_growths(lm, "french")
    assert fitted(lm)["loss"] == pytest.approx(7.0)


def test_compiled_functions_are_kept_for_each_set_of_active_growths():
    lm = grown(name="french")
    predicted(lm)
    first = lm.predict_function
    keras_grow.set_growths(lm, {})
    predicted(lm)
    assert lm.predict_function is not first
    keras_grow.set_growths(lm, "french")
    assert lm.predict_function is first


@pytest.mark.parametrize("turned", ["backbone", "sibling"])
def test_the_dial_acts_on_every_task_over_the_backbone(turned):
    lm = grown(name="french")
    # As `generate` is of a task alone, so is a task made of the backbone.
    sibling = type(lm).plain_class(backbone=lm.backbone, preprocessor=None)
    other = {"backbone": lm.backbone, "sibling": sibling}[turned]
    # Twice: what JAX is first called with differs, and it compiles anew.
    predicted(lm)
    full = predicted(lm)
    keras_grow.set_growths(other, {})
    base = predicted(lm)
    np.testing.assert_allclose(base, computed(lm), atol=1e-5)
    assert np.abs(base - full).max() > 1e-3
    keras_grow.set_growths(other, "french")
    np.testing.assert_array_equal(predicted(lm), full)


def test_the_dial_can_be_set_through_a_model_around_the_backbone():
    backbone = grown(name="french", strategy="g_train").backbone
    hidden = backbone(backbone.input)
    model = keras.Model(backbone.input, keras.layers.Dense(2)(hidden))
    full = predicted(model)
    for scale in (0.5, 0.0):
        keras_grow.set_growths(model, {"french": scale})
        assert keras_grow.growths(model)["french"].scale == scale
        found = predicted(model)
        np.testing.assert_allclose(found, computed(model), atol=1e-5)
        assert np.abs(found - full).max() > 1e-3


def test_set_weights_sets_the_dial_too(tmp_path):
    lm = grown(name="french")
    full, weights = computed(lm), lm.get_weights()
    keras_grow.set_growths(lm, {})
    base = predicted(lm)
    lm.set_weights(weights)
    assert keras_grow.growths(lm)["french"].scale == 1.0
    np.testing.assert_array_equal(computed(lm), full)
    np.testing.assert_allclose(predicted(lm), full, atol=1e-5)
    assert np.abs(base - full).max() > 1e-3
    lm.save(tmp_path / "model.keras")
    saved = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(computed(saved), full)


def test_a_removed_growth_is_freed():
    lm = grown(name="french")
    compiled(lm)
    fitted(lm)
    slices = [weakref.ref(own) for own in ModelState.of(lm).slices()]
    keras_grow.remove_growth(lm)
    gc.collect()
    assert [own() for own in slices] == [None] * len(slices)

"""A model is unchanged if memory runs out while it grows."""

import importlib

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()
PLACES = [
    "keras_grow.growth.classes.put",
    "keras_grow.growth.classes.note_growths",
    "keras_grow.growth.classes.train_growth",
    "keras_grow.growth.grow.become_grown_task",
    "keras_grow.growth.grow.reset_compiled",
]
pytestmark = pytest.mark.usefixtures("little_garbage")


def compiled(growths):
    """A compiled model with some growths that differ from the base."""
    lm = tiny_lm(num_layers=2)
    for seed in range(growths):
        keras_grow.grow_model(lm, layers=[1])
        rng = np.random.default_rng(seed)
        for weight in lm.trainable_weights:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    lm.compile(keras.optimizers.Adam(1e-3), "mse")
    keras.Model.predict_on_batch(lm, BATCH)
    return lm


def described(lm):
    """Everything that growing changes, except values."""
    blocks = lm.backbone.transformer_layers
    return {
        "classes": [type(part) for part in (lm, lm.backbone, *blocks)],
        "weights": [id(weight) for weight in lm.weights],
        "trainable": [id(weight) for weight in lm.trainable_weights],
        "optimizer": id(lm.optimizer),
        "function": id(lm.predict_function),
        "growths": keras_grow.growths(lm),
        "attributes": sorted(set(vars(lm.backbone)) - {"_torch_params"}),
    }


def failing_once(function):
    left = [MemoryError("no memory")]

    def fail(*args, **kwargs):
        if left:
            raise left.pop()
        return function(*args, **kwargs)

    return fail


def check_as_before(lm, change, places, monkeypatch):
    before, outputs = described(lm), ops.convert_to_numpy(lm(BATCH))
    for place in places:
        with monkeypatch.context() as patch:
            module, _, name = place.rpartition(".")
            module = importlib.import_module(module)
            function = getattr(module, name)
            patch.setattr(module, name, failing_once(function))
            with pytest.raises(MemoryError, match="no memory"):
                change(lm)
        assert described(lm) == before, place
        np.testing.assert_array_equal(ops.convert_to_numpy(lm(BATCH)), outputs)
    change(lm)
    assert described(lm) != before


@pytest.mark.parametrize("growths", [0, 1])
def test_growing(growths, monkeypatch):
    lm = compiled(growths)

    def grow(lm):
        keras_grow.grow_model(lm, name="new")

    check_as_before(lm, grow, PLACES, monkeypatch)
    keras_grow.remove_growth(lm)
    assert len(lm.trainable_weights) == len(lm.weights)


@pytest.mark.parametrize("name", [None, "growth_2"])
def test_shrinking(name, monkeypatch):
    lm = compiled(2)

    def shrink(lm):
        keras_grow.remove_growth(lm, name)

    places = [
        "keras_grow.growth.grow.note_growths",
        "keras_grow.growth.grow.reset_compiled",
    ]
    check_as_before(lm, shrink, places, monkeypatch)


def test_loading(monkeypatch, tmp_path):
    keras_grow.save_growth(compiled(1), tmp_path / "file")

    def load(lm):
        keras_grow.load_growth(lm, tmp_path / "file")

    file = "keras_grow.saving.growth_file"
    places = [*PLACES[:3], f"{file}._variables", f"{file}.reset_compiled"]
    check_as_before(compiled(0), load, places, monkeypatch)

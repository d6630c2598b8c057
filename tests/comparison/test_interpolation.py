"""Weights between a base and what was tuned, and the dial for growths."""

import keras
import keras_hub
import numpy as np
import pytest

from keras_grow import grow_model
from keras_grow import growths
from keras_grow.comparison.interpolation import Interpolation


@pytest.fixture
def lm():
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.Gemma3Backbone(
        vocabulary_size=32,
        image_size=None,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=8,
        intermediate_dim=16,
        head_dim=4,
    )
    return keras_hub.models.Gemma3CausalLM(backbone=backbone, preprocessor=None)


def _move(lm):
    rng = np.random.default_rng(0)
    for variable in lm.trainable_variables:
        step = 0.1 * rng.normal(size=variable.shape)
        variable.assign(keras.ops.convert_to_numpy(variable) + step)


def _weights(lm):
    return [keras.ops.convert_to_numpy(v) for v in lm.trainable_variables]


def test_weights_lie_on_the_line_and_the_ends_are_exact(lm):
    between, old = Interpolation(lm), _weights(lm)
    _move(lm)
    new = _weights(lm)
    for share in (0.25, 0.75):
        between.keep(share)
        for found, a, b in zip(_weights(lm), old, new, strict=True):
            np.testing.assert_allclose(found, a + share * (b - a), atol=1e-6)
    for share, end in ((0, old), (1, new)):
        between.keep(share)
        for found, wanted in zip(_weights(lm), end, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_the_change_of_a_kernel_under_lora_is_proportional(lm):
    lm.backbone.enable_lora(2)
    layer = lm.backbone.get_layer("decoder_block_0").attention.query_dense
    base = keras.ops.convert_to_numpy(layer.kernel)
    between = Interpolation(lm)
    _move(lm)
    whole = keras.ops.convert_to_numpy(layer.kernel) - base
    between.keep(0.25)
    part = keras.ops.convert_to_numpy(layer.kernel) - base
    np.testing.assert_allclose(part, 0.25 * whole, atol=1e-6)


def test_a_growth_is_turned_by_its_dial_and_keeps_its_weights(lm):
    grow_model(lm, name="task")
    between = Interpolation(lm)
    _move(lm)
    slices = _weights(lm)
    between.keep(0.5)
    assert growths(lm)["task"].scale == 0.5
    between.keep(0)
    assert growths(lm)["task"].scale == 0.0
    for found, wanted in zip(_weights(lm), slices, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_share_outside_of_the_line_is_refused(lm):
    with pytest.raises(ValueError, match=r"from 0 to 1.*share=1.5"):
        Interpolation(lm).keep(1.5)

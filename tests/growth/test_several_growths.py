"""Several growths on a base that has LoRA or is in int8."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.growth.state import ModelState

NAMES = ("french", "science")
BATCH = token_batch()
pytestmark = pytest.mark.usefixtures("little_garbage")


def outputs(model):
    return ops.convert_to_numpy(model(BATCH))


def prepared(kind, *names):
    """A base with growths, each made on the bare base, then LoRA or int8."""
    lm = tiny_lm("gemma3", num_layers=2)
    for name in names:
        keras_grow.grow_model(lm, name=name)
        rng = np.random.default_rng(len(name))
        for weight in lm.trainable_weights:
            noise = rng.normal(0, 0.3, weight.shape)
            weight.assign(ops.convert_to_numpy(weight) + noise)
        keras_grow.set_growths(lm, {})
    if kind == "int8":
        return keras_grow.quantize_base(lm)
    lm.backbone.enable_lora(2)
    rng = np.random.default_rng(7)
    for weight in lm.weights:
        if "lora" in weight.path:
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return lm


# PyTorch has no int8 in float32; on TensorFlow LoRA is left to the others.
@pytest.mark.parametrize(
    "kind",
    {"torch": ["lora"], "tensorflow": ["int8"], "jax": ["lora", "int8"]}[
        keras.config.backend()
    ],
)
def test_each_growth_computes_what_it_does_alone_and_two_add_up(kind):
    lm = prepared(kind, *NAMES)
    base = outputs(lm)
    np.testing.assert_array_equal(base, outputs(prepared(kind)))
    assert np.abs(base - outputs(tiny_lm("gemma3", num_layers=2))).max() > 1e-3
    for name in NAMES:
        alone = keras_grow.set_growths(prepared(kind, name), name)
        keras_grow.set_growths(lm, name)
        np.testing.assert_array_equal(outputs(lm), outputs(alone))
        assert np.abs(outputs(lm) - base).max() > 1e-3
    x = np.random.default_rng(3).normal(size=(2, 5, 16)).astype("float32")
    gate, up, down = next(iter(ModelState.of(lm).mlps.values())).values()

    def mlp(scales):
        keras_grow.set_growths(lm, scales)
        return ops.convert_to_numpy(down(ops.gelu(gate(x)) * up(x)))

    none = mlp({})
    apart = [mlp({name: 0.5}) - none for name in NAMES]
    both = mlp(dict.fromkeys(NAMES, 0.5)) - none
    np.testing.assert_allclose(both, sum(apart), atol=2e-5)

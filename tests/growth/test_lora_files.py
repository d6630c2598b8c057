"""KerasHub's LoRA files are the same with and without a growth."""

import numpy as np
import pytest
from family_models import batch_for
from family_models import tiny_family
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()


def outputs(lm):
    return ops.convert_to_numpy(lm(BATCH))


def base(lora=False):
    lm = tiny_lm("gemma3", num_layers=2)
    if lora:
        lm.backbone.enable_lora(2)
        move_lora(lm)
    return lm


def move_lora(lm):
    rng = np.random.default_rng(0)
    for weight in lm.weights:
        if "lora_kernel" in weight.name:
            weight.assign(rng.normal(0, 0.3, weight.shape))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("lora") / "base.lora.h5")
    base(lora=True).backbone.save_lora_weights(path)
    return path


def in_every_order(tmp_path):
    """Models with the same LoRA, grown in every order."""
    lora_first = base(lora=True)
    keras_grow.grow_model(lora_first)
    growth_first = base()
    keras_grow.grow_model(growth_first)
    growth_first.backbone.enable_lora(2)
    move_lora(growth_first)
    removed = base()
    keras_grow.grow_model(removed)
    removed.backbone.enable_lora(2)
    move_lora(removed)
    keras_grow.remove_growth(removed)
    keras_grow.save_growth(growth_first, tmp_path / "growth.safetensors")
    loaded = base()
    keras_grow.load_growth(loaded, tmp_path / "growth.safetensors")
    return {
        "LoRA, growth": lora_first,
        "growth, LoRA": growth_first,
        "growth, LoRA, removal": removed,
        "growth file with LoRA": loaded,
    }


def test_every_order_writes_a_file_that_the_base_reads(tmp_path):
    expected = outputs(base(lora=True))
    for order, lm in in_every_order(tmp_path).items():
        np.testing.assert_allclose(
            outputs(lm), expected, atol=1e-6, err_msg=order
        )
        path = str(tmp_path / "written.lora.h5")
        lm.backbone.save_lora_weights(path)
        plain = base()
        plain.backbone.load_lora_weights(path)
        np.testing.assert_array_equal(outputs(plain), expected, err_msg=order)


def test_a_grown_model_reads_the_file_of_its_base(file):
    expected = outputs(base(lora=True))
    lm = base()
    keras_grow.grow_model(lm)
    lm.backbone.load_lora_weights(file)
    np.testing.assert_allclose(outputs(lm), expected, atol=1e-6)
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(outputs(lm), outputs(base()))


def test_layers_with_the_same_path_keep_their_own_lora(tmp_path):
    lm = keras_grow.grow_model(tiny_family("SmolLM 3"))
    lm.backbone.enable_lora(2, ["o_proj"])
    layers = [block.self_attn.o_proj for block in blocks_of(lm)]
    assert [layer.path for layer in layers] == ["o_proj", "o_proj"]
    move_lora(lm)
    keras_grow.save_growth(lm, tmp_path / "growth.safetensors")
    loaded = tiny_family("SmolLM 3")
    keras_grow.load_growth(loaded, tmp_path / "growth.safetensors")
    x = batch_for("SmolLM 3")
    wanted = ops.convert_to_numpy(lm(x))
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), wanted)


def blocks_of(lm):
    return lm.backbone.transformer_layers

"""Layouts and forecasts, which need no devices."""

import re

import keras
import keras_hub
import pytest
from tiny_models import tiny_lm

import keras_grow
from keras_grow.distribution import memory_per_device

GEMMA3_27B = dict(
    vocabulary_size=262144,
    image_size=896,
    num_layers=62,
    num_query_heads=32,
    num_key_value_heads=16,
    hidden_dim=5376,
    intermediate_dim=21504,
    head_dim=128,
    use_query_key_norm=True,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
)


def mesh(batch, model, names=("batch", "model")):
    devices = [f"cpu:{i}" for i in range(batch * model)]
    return keras.distribution.DeviceMesh((batch, model), names, devices)


def axes(layouts, path):
    layout = layouts[path]
    return None if layout is None else layout.axes


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
def test_every_kernel_has_a_layout_and_a_slice_that_of_its_base(family):
    lm = tiny_lm(family)
    layouts = keras_grow.layout_map(lm, mesh(2, 2))
    keras_grow.grow_model(lm, factor=3, layers=[0, 1])
    keras_grow.grow_model(lm, layers=[1])
    for weight in lm.weights:
        found = axes(layouts, weight.path)
        if len(weight.shape) < 2:
            assert found is None
            continue
        assert len(found) == len(weight.shape)
        assert "model" in found or weight.shape[0] == 1
        base = re.sub("growth_[12]/(copy_[01]/)?", "", weight.path)
        assert found == axes(layouts, base)
    assert axes(layouts, "token_embedding/embeddings") == ("model", "batch")
    block = "decoder_block_1"
    gate = axes(layouts, f"{block}/ffw_gating/kernel")
    assert gate == ("batch", "model")
    copy = axes(layouts, f"{block}/ffw_gating/growth_1/copy_0/kernel")
    assert copy == gate
    down = axes(layouts, f"{block}/ffw_linear/growth_1/kernel")
    assert down == ("model", "batch")
    output = axes(layouts, f"{block}/attention/attention_output/kernel")
    assert output == ("model", None, "batch")


def test_an_axis_that_its_devices_do_not_divide_stays_whole():
    layouts = keras_grow.layout_map(tiny_lm("gemma3"), mesh(3, 8))
    # 4 heads, 16 hidden, 24 neurons, 80 words.
    query = axes(layouts, "decoder_block_0/attention/query/kernel")
    assert query == (None, None, None)
    gate = axes(layouts, "decoder_block_0/ffw_gating/kernel")
    assert gate == (None, "model")
    assert axes(layouts, "token_embedding/embeddings") == ("model", None)


def test_the_axes_may_have_other_names():
    layouts = keras_grow.layout_map(
        tiny_lm("gemma3"), mesh(2, 2, ("data", "tensor")), "tensor", "data"
    )
    gate = axes(layouts, "decoder_block_0/ffw_gating/kernel")
    assert gate == ("data", "tensor")


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_one_device_the_forecast_is_the_reports_training_state(
    strategy, dtype
):
    growth = keras_grow.GrowthConfig(3, (0, 1), strategy)
    lm = tiny_lm("gemma3", dtype)
    forecast = memory_per_device(lm, mesh(1, 1), growth)
    keras_grow.grow_model(lm, 3, [0, 1], strategy)
    report = keras_grow.growth_report(lm)
    assert forecast.total == report.training_bytes
    assert forecast == memory_per_device(lm, mesh(1, 1))
    assert memory_per_device(lm, mesh(2, 2), None).total < 0.5 * forecast.total
    with pytest.raises(ValueError, match="not grown"):
        memory_per_device(lm, mesh(1, 1), growth)


def test_a_model_of_27_billion_is_forecast_without_memory_for_it():
    with keras_grow.distribution.shapes_only():
        backbone = keras_hub.models.Gemma3Backbone(
            **{**GEMMA3_27B, "num_layers": 2}, dtype="bfloat16"
        )
    growth = keras_grow.GrowthConfig(2, (1,))
    one = memory_per_device(backbone, mesh(1, 1), growth)
    block = 5376 * (2 * 32 + 2 * 16) * 128 + 3 * 5376 * 21504
    norms = 2 * (4 * 5376 + 2 * 128) + 5376
    scale = 4  # Of the one grown block, in float32.
    assert one.frozen == 2 * (262144 * 5376 + 2 * block + norms) + scale
    assert one.trainable == 4 * 3 * 5376 * 21504
    eight = memory_per_device(backbone, mesh(1, 8), growth)
    assert eight.trainable == one.trainable / 8
    assert eight.frozen == 2 * ((262144 * 5376 + 2 * block) / 8 + norms) + scale
    # Nor does a model that is built later bring its values into being.
    tiny_lm("gemma3")
    assert all(weight._value is None for weight in backbone.weights)


def test_what_has_no_layout_is_refused():
    lm = tiny_lm("gemma3")
    with pytest.raises(TypeError, match="DeviceMesh"):
        keras_grow.layout_map(lm, (2, 4))
    with pytest.raises(ValueError, match=r"without \['batch'\]"):
        keras_grow.layout_map(lm, mesh(2, 2, ("data", "model")))
    with pytest.raises(ValueError, match="different axes for the model"):
        keras_grow.layout_map(lm, mesh(2, 2), "model", "model")
    with pytest.raises(TypeError, match="KerasHub model"):
        keras_grow.layout_map(keras.Sequential(), mesh(2, 2))
    growth = keras_grow.GrowthConfig(2, (1, 2))
    with pytest.raises(ValueError, match=r"indices from 0 to 1.*\[2\]"):
        memory_per_device(lm, mesh(2, 2), growth)


@pytest.mark.skipif(keras.config.backend() == "torch", reason="refused there")
@pytest.mark.usefixtures("little_garbage")
def test_a_base_in_int8_is_laid_out_as_it_was_in_float():
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm)
    paths = [weight.path for weight in lm.weights]
    layouts = keras_grow.layout_map(lm, mesh(2, 2))
    keras_grow.quantize_base(lm)
    quantized = keras_grow.layout_map(lm, mesh(2, 2))
    for path in paths:
        assert axes(quantized, path) == axes(layouts, path)
    for weight in lm.weights:
        if weight.path.endswith(("kernel_scale", "embeddings_scale")):
            assert axes(quantized, weight.path) is None
    held = sum(
        keras.ops.convert_to_numpy(weight).nbytes for weight in lm.weights
    )
    memory = memory_per_device(lm, mesh(1, 1))
    assert memory.frozen + memory.trainable == held


@pytest.mark.skipif(keras.config.backend() == "jax", reason="works there")
def test_other_backends_are_refused():
    with pytest.raises(RuntimeError, match="Expected the JAX backend"):
        keras_grow.distribution.distribute(
            tiny_lm("gemma3"), keras.distribution.DataParallel
        )

"""Counts and ratios against figures that were worked out by hand."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm

import keras_grow
from keras_grow.growth import costs
from keras_grow.growth.families import family_of


def gemma3_shape(blocks, hidden, width, parameters):
    """The published shapes: 4 heads and 1 kv head of 256, 262144 tokens."""
    attention = 2 * hidden * 4 * 256 + 2 * hidden * 1 * 256
    return costs.ModelShape(
        num_blocks=blocks,
        attention=attention,
        up=2 * hidden * width,
        down=hidden * width,
        head=262144 * hidden,
        heads_dim=4 * 256,
        parameters=parameters,
    )


SHAPES = {
    "270m": gemma3_shape(18, 640, 2048, 268_098_176),
    "1b": gemma3_shape(26, 1152, 6912, 999_885_952),
}


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("size", "layers", "strategy", "parameters"),
    [
        ("270m", range(18), "g_freeze", 70_778_880),
        ("270m", range(10), "g_freeze", 39_321_600),
        ("270m", range(18), "g_freeze_up", 47_185_920),
        ("270m", range(18), "g_train", 94_371_840),
        ("1b", range(26), "g_freeze", 621_084_672),
        ("1b", range(10), "g_freeze", 238_878_720),
        ("1b", range(26), "g_train", 828_112_896),
    ],
)
def test_new_parameters_of_the_published_shapes(
    size, layers, strategy, parameters
):
    config = keras_grow.GrowthConfig(2, tuple(layers), strategy)
    assert costs.new_parameters(SHAPES[size], config) == parameters


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("size", "layers", "ratio"),
    [
        ("270m", range(18), 0.923),
        ("270m", (0, *range(9, 18)), 0.814),
        ("270m", range(4, 14), 0.778),
        ("270m", range(8, 18), 0.742),
        ("1b", range(26), 1.266),
        ("1b", (0, *range(17, 26)), 0.894),
        ("1b", range(8, 18), 0.818),
        ("1b", range(16, 26), 0.743),
    ],
)
def test_step_flops_over_sft(size, layers, ratio):
    config = keras_grow.GrowthConfig(2, tuple(layers))
    shape = SHAPES[size]
    step = costs.growth_step_flops(shape, [config])
    assert step / costs.sft_step_flops(shape) == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
def test_the_shape_of_a_model_is_read_from_its_variables(family):
    backbone = tiny_lm(family).backbone
    shape = costs.ModelShape.of(backbone, family_of(backbone))
    heads = backbone.num_query_heads * backbone.head_dim
    kv_heads = backbone.num_key_value_heads * backbone.head_dim
    assert shape.attention == 2 * 16 * heads + 2 * 16 * kv_heads
    assert (shape.up, shape.down) == (2 * 16 * 24, 16 * 24)
    assert shape.head == 80 * 16
    assert shape.parameters == backbone.count_params()
    keras_grow.grow_model(backbone)
    assert costs.ModelShape.of(backbone, family_of(backbone)) == shape


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_the_report_counts_as_keras_does(strategy):
    lm = tiny_lm("gemma3", "bfloat16", num_layers=4)
    base = lm.count_params()
    keras_grow.grow_model(lm, layers=[0, 2, 3], strategy=strategy)
    report = keras_grow.growth_report(lm)
    trainable = sum(int(np.prod(w.shape)) for w in lm.trainable_weights)
    assert report.base_parameters == base
    assert report.trainable_parameters == trainable
    assert report.frozen_parameters == base
    scales = 4 * 3  # One per grown block, in float32.
    assert report.weight_bytes == 2 * base + 4 * trainable + scales
    assert report.training_bytes == 2 * base + 16 * trainable + scales
    assert report.sft_training_bytes == 16 * base
    assert report.widths == {i: (24, 48) for i in (0, 2, 3)}
    text = str(report)
    assert strategy in text
    assert "blocks 0, 2-3 of 4" in text
    assert f"{trainable:,}" in text


def test_the_step_is_that_of_the_newest_growth_at_any_scale():
    lm = tiny_lm("gemma3", num_layers=3)
    keras_grow.grow_model(lm, name="below", layers=[2])
    below = keras_grow.growth_report(lm)
    keras_grow.grow_model(lm, name="newest")
    both = keras_grow.growth_report(lm)
    assert both.step_ratio > below.step_ratio
    for scales in ({"below": 1.0}, {"newest": 1.0}, {}):
        keras_grow.set_growths(lm, scales)
        report = keras_grow.growth_report(lm)
        assert report.step_ratio == both.step_ratio
        assert report.forward_ratio < both.forward_ratio
    assert report.forward_ratio == 1.0
    # Beside another growth, and not on it, it trains as it would alone.
    keras_grow.grow_model(lm, name="beside")
    alone = keras_grow.grow_model(tiny_lm("gemma3", num_layers=3))
    expected = keras_grow.growth_report(alone).step_ratio
    assert keras_grow.growth_report(lm).step_ratio == expected


def test_bytes_of_a_variable_are_those_of_its_array():
    for dtype in ("float32", "bfloat16", "float16", "int8", "int32", "bool"):
        variable = keras.Variable(np.ones((3, 5)), dtype=dtype, trainable=False)
        bits = {"bool": 8, "bfloat16": 16}.get(dtype) or int(
            dtype[-2:].strip("t")
        )
        assert costs.variable_bytes(variable) == 15 * bits // 8


def test_a_model_that_is_not_grown_has_no_report():
    with pytest.raises(ValueError, match="which is not grown"):
        keras_grow.growth_report(tiny_lm("gemma3"))

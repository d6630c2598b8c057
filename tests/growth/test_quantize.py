"""Growth in float on top of a frozen base in int8."""

import warnings

import keras
import numpy as np
import pytest
from family_models import tiny_backbone
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.layers.int8 import float_kernel
from keras_grow.layers.int8 import quantized_layers
from keras_grow.saving.fingerprint import base_fingerprint

not_on_torch = pytest.mark.skipif(
    keras.config.backend() == "torch", reason="refused there"
)


pytestmark = pytest.mark.usefixtures("little_garbage")


def outputs(lm):
    return ops.convert_to_numpy(lm(token_batch()))


def grown_int8(first, **options):
    """A grown model with an int8 base; quantized before or after growing."""
    lm = tiny_lm("gemma3", num_layers=2)
    if first == "quantized":
        keras_grow.quantize_base(lm)
    keras_grow.grow_model(lm, layers=[1], **options)
    if first == "grown":
        keras_grow.quantize_base(lm)
    return lm


def dequantized(lm):
    """The float model with the values that the int8 weights stand for."""
    plain = tiny_lm("gemma3", num_layers=2)
    values = {w.path: w for w in lm.backbone.weights}
    layers = {x.path: x for x in lm.backbone._flatten_layers()}
    for weight in plain.backbone.weights:
        value = ops.convert_to_numpy(values[weight.path])
        layer = layers[weight.path.rpartition("/")[0]]
        if weight.name == "kernel":
            value = ops.convert_to_numpy(float_kernel(layer))
        elif weight.name == "embeddings":
            scale = ops.convert_to_numpy(layer.embeddings_scale)
            value = value.astype("float32") / scale[:, None]
        weight.assign(value)
    return plain


def fit(lm, supervised_logits=False):
    if supervised_logits:
        keras_grow.supervised_logits(lm)
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD(0.1),
        weighted_metrics=[],
    )
    batch = token_batch(4)
    labels = np.roll(batch["token_ids"], -1, axis=1)
    weights = batch["padding_mask"].astype("float32")
    history = lm.fit(
        batch, labels, sample_weight=weights, epochs=3, verbose=0, batch_size=4
    )
    return history.history["loss"]


@not_on_torch
@pytest.mark.parametrize("first", ["grown", "quantized"])
def test_the_base_is_in_int8_and_the_slices_are_in_float(first):
    lm = grown_int8(first)
    for weight in lm.weights:
        kernel = weight.name in ("kernel", "embeddings")
        new = "/growth_1/" in weight.path
        dtype = "int8" if kernel and not new else "float32"
        assert keras.backend.standardize_dtype(weight.dtype) == dtype
        assert weight.trainable == new


@not_on_torch
@pytest.mark.parametrize(
    ("first", "supervised_logits"), [("grown", True), ("quantized", False)]
)
def test_growth_learns_on_int8_what_it_learns_on_the_same_base_in_float(
    first, supervised_logits
):
    lm = grown_int8(first)
    base = dequantized(lm)
    keras_grow.grow_model(base, layers=[1])
    if first == "grown":
        # Copies of the float weights, which were not rounded.
        for name, weight in slices(lm).items():
            # A copy: JAX donates the buffers of a step.
            slices(base)[name].assign(ops.convert_to_numpy(weight))
    np.testing.assert_allclose(outputs(lm), outputs(base), atol=1e-5)
    before = base_fingerprint(lm)
    losses = fit(lm, supervised_logits)
    np.testing.assert_allclose(losses, fit(base), rtol=1e-4)
    assert losses[-1] < losses[0]
    assert base_fingerprint(lm) == before


def slices(lm):
    return {w.path: w for w in lm.weights if "growth_1" in w.path}


@pytest.mark.exact
@not_on_torch
def test_growing_an_int8_base_preserves_its_function():
    lm = tiny_lm("gemma3", num_layers=2)
    base = outputs(lm)
    keras_grow.quantize_base(lm)
    rounded = outputs(lm)
    assert 0 < np.abs(rounded - base).max() < 0.2 * np.abs(base).max()
    keras_grow.grow_model(lm)
    np.testing.assert_allclose(outputs(lm), rounded, atol=1e-5)
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(outputs(lm), rounded)


@not_on_torch
def test_the_report_counts_bytes_in_int8_and_parameters_as_before():
    lm = grown_int8("grown")
    plain = tiny_lm("gemma3", num_layers=2)
    keras_grow.grow_model(plain, layers=[1])
    report = keras_grow.growth_report(lm)
    float_report = keras_grow.growth_report(plain)
    assert report.base_parameters == float_report.base_parameters
    assert report.trainable_parameters == float_report.trainable_parameters
    assert report.step_ratio == float_report.step_ratio
    arrays = [ops.convert_to_numpy(w) for w in lm.weights]
    assert report.weight_bytes == sum(array.nbytes for array in arrays)
    assert report.weight_bytes < 0.6 * float_report.weight_bytes


@not_on_torch
@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_growth_on_int8_is_saved_and_loaded(strategy, tmp_path):
    lm = grown_int8("quantized", strategy=strategy)
    fit(lm)
    expected = outputs(lm)
    keras_grow.save_growth(lm, tmp_path / "x.grow.safetensors")
    lm.save(tmp_path / "x.keras")

    fresh = keras_grow.quantize_base(tiny_lm("gemma3", num_layers=2))
    keras_grow.load_growth(fresh, tmp_path / "x.grow.safetensors")
    np.testing.assert_array_equal(outputs(fresh), expected)
    with pytest.raises(ValueError, match="whose base has other weights"):
        keras_grow.load_growth(
            tiny_lm("gemma3", num_layers=2), tmp_path / "x.grow.safetensors"
        )

    whole = keras.models.load_model(tmp_path / "x.keras")
    np.testing.assert_array_equal(outputs(whole), expected)
    trains = [w.path for w in lm.trainable_weights]
    assert [w.path for w in whole.trainable_weights] == trains


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_quantize_of_keras_leaves_the_slices_in_float():
    lm = tiny_lm("gemma3", num_layers=2)
    keras_grow.grow_model(lm, layers=[1])
    trains = [w.path for w in lm.trainable_weights]
    lm.quantize("int8")
    assert [w.path for w in lm.trainable_weights] == trains
    with pytest.raises(ValueError, match="rounds the inputs"):
        keras_grow.supervised_logits(lm)


@not_on_torch
def test_modes_and_models_that_cannot_be_quantized_are_refused():
    lm = tiny_lm("gemma3", num_layers=2)
    with pytest.raises(ValueError, match=r'mode="int8".*int4'):
        keras_grow.quantize_base(lm, "int4")
    keras_grow.quantize_base(lm)
    with pytest.raises(ValueError, match=r"model in float.*quantized layers"):
        keras_grow.quantize_base(lm)
    keras_grow.grow_model(lm)
    with pytest.raises(ValueError, match="Merge first"):
        keras_grow.merge_growth(lm)


@pytest.mark.skipif(keras.config.backend() != "torch", reason="works there")
def test_pytorch_is_refused():
    with pytest.raises(RuntimeError, match="JAX or TensorFlow"):
        keras_grow.quantize_base(tiny_lm("gemma3", num_layers=2))


@pytest.mark.parametrize("mode", ["int4", "float8"])
@pytest.mark.parametrize("part", ["task", "backbone"])
def test_modes_that_keras_breaks_are_refused_before_anything_changes(
    mode, part
):
    lm = tiny_lm("gemma3", num_layers=1)
    keras_grow.grow_model(lm)
    before = outputs(lm)
    model = (
        lm
        if part == "task"
        else lm.backbone.from_config(lm.backbone.get_config())
    )
    with pytest.raises(ValueError, match='Expected `mode="int8"`'):
        model.quantize(mode)
    assert not quantized_layers(model)
    np.testing.assert_array_equal(outputs(lm), before)
    keras_grow.remove_growth(model)
    with warnings.catch_warnings():
        # Of layers without weights.
        warnings.simplefilter("ignore")
        model.quantize("int4")
    assert quantized_layers(model)


def test_keras_int8_is_refused_where_a_down_projection_has_a_bias():
    backbone = tiny_backbone("GPT-2")
    keras_grow.grow_model(backbone)
    with pytest.raises(ValueError, match="without bias and activation"):
        backbone.quantize("int8")
    assert not quantized_layers(backbone)

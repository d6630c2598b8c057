"""`grow_model` on KerasHub models: the function stays, only slices train."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_hub import models
from tiny_models import GEMMA
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.growth.families import FAMILIES
from keras_grow.growth.state import ModelState
from keras_grow.saving.fingerprint import base_fingerprint

BATCH = token_batch()


def outputs(model, **kwargs):
    return ops.convert_to_numpy(ops.cast(model(BATCH, **kwargs), "float32"))


def predicted(model):
    return compiled_outputs(model, BATCH)


def answers(model):
    """Greedy answers through the compiled, cached `generate`."""
    return model.generate(["the quick", "bonjour le monde"], max_length=14)


@pytest.mark.exact
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_at_factor_2_every_bit_is_that_of_the_base(family, dtype):
    lm = tiny_lm(family, dtype, tokenizer=True, num_layers=2)
    called, compiled = outputs(lm), predicted(lm)
    # Generation compiles for longest: in one dtype, where most is rounded.
    answered = answers(lm) if dtype == "bfloat16" else None
    assert keras_grow.grow_model(lm) is lm
    np.testing.assert_array_equal(outputs(lm), called)
    np.testing.assert_array_equal(predicted(lm), compiled)
    assert answered is None or answers(lm) == answered
    assert keras_grow.verify_preserved(lm, BATCH).exact


@pytest.mark.exact
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gemma_1_is_exact_except_in_graphs_of_tensorflow(dtype):
    # In a graph TensorFlow adds the residual inside the base's matrix product
    # where no norm follows the MLP, which rounds once less.
    graphs = keras.config.backend() != "tensorflow"
    lm = tiny_lm("gemma", dtype, tokenizer=True, num_layers=2)
    lm.compile(run_eagerly=not graphs)
    compiled, answered = predicted(lm), answers(lm)
    keras_grow.grow_model(lm)
    np.testing.assert_array_equal(predicted(lm), compiled)
    assert answers(lm) == answered


@pytest.mark.exact
def test_gemma_1_agrees_within_rounding_in_any_graph():
    lm = tiny_lm("gemma", num_layers=2)
    compiled = predicted(lm)
    keras_grow.grow_model(lm)
    np.testing.assert_allclose(predicted(lm), compiled, rtol=0, atol=5e-6)


@pytest.mark.exact
def test_a_model_that_is_not_jitted_is_exact_as_well():
    lm = tiny_lm("gemma3")
    lm.compile(jit_compile=False)
    before = predicted(lm)
    keras_grow.grow_model(lm)
    np.testing.assert_array_equal(predicted(lm), before)


@pytest.mark.exact
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "g_freeze_up"},
        {"strategy": "g_train"},
        {"strategy": "g_train", "shares": "unequal"},
        {"init": "zero_down"},
        {"init": "random_zero_down"},
        {"layers": [1, 0]},
        {"layers": 1},
        {"slice_dtype": "bfloat16"},
    ],
    ids=str,
)
def test_every_strategy_and_init_preserves_every_bit(options):
    lm = tiny_lm("gemma3", "bfloat16")
    before = outputs(lm)
    keras_grow.grow_model(lm, **options)
    np.testing.assert_array_equal(outputs(lm), before)


def test_other_factors_agree_within_rounding():
    lm = tiny_lm("gemma3")
    before = outputs(lm)
    keras_grow.grow_model(lm, factor=3)
    np.testing.assert_allclose(outputs(lm), before, rtol=0, atol=5e-6)


def test_zeros_preserve_the_function_and_warn_that_nothing_can_learn():
    lm = tiny_lm("gemma3")
    before = outputs(lm)
    with pytest.warns(UserWarning, match="every gradient .* is zero"):
        keras_grow.grow_model(lm, init="zeros")
    np.testing.assert_array_equal(outputs(lm), before)
    lm.compile(optimizer="sgd")
    lm.fit(BATCH, BATCH["token_ids"], verbose=0)
    np.testing.assert_array_equal(outputs(lm), before)


def test_only_the_new_slices_train_and_they_are_float32():
    lm = tiny_lm("gemma3", "bfloat16", num_layers=4)
    fingerprint = base_fingerprint(lm)
    keras_grow.grow_model(lm, layers=[1, 3])
    paths = [w.path for w in lm.trainable_weights]
    assert paths == [
        f"decoder_block_{block}/{slot}/growth_1/kernel"
        for block in (1, 3)
        for slot in ("ffw_gating", "ffw_gating_2", "ffw_linear")
    ]
    assert all(w.dtype == "float32" for w in lm.trainable_weights)
    assert base_fingerprint(lm) == fingerprint


@pytest.mark.parametrize(
    ("layers", "grown"),
    [(None, [0, 1, 2, 3]), (2, [2, 3]), ([3, 1], [1, 3]), (np.array([0]), [0])],
)
def test_layers_are_all_blocks_the_last_n_or_those_listed(layers, grown):
    lm = tiny_lm("gemma3", num_layers=4)
    keras_grow.grow_model(lm, layers=layers)
    assert list(lm.backbone.growths[0].layers) == grown
    assert len(ModelState.of(lm).grown_layers) == 3 * len(grown)


def test_a_backbone_alone_can_be_grown():
    backbone = tiny_lm("gemma3").backbone
    before = outputs(backbone)
    keras_grow.grow_model(backbone)
    np.testing.assert_array_equal(outputs(backbone), before)


def paligemma():
    keras.utils.set_random_seed(0)
    backbone = models.PaliGemmaBackbone(
        **{**GEMMA, "intermediate_dim": 48},
        image_size=16,
        include_rescaling=False,
        vit_patch_size=8,
        vit_num_heads=2,
        vit_hidden_dim=8,
        vit_num_layers=1,
        vit_intermediate_dim=8,
    )
    return models.PaliGemmaCausalLM(backbone=backbone, preprocessor=None)


def test_the_text_decoder_of_paligemma_is_grown_trained_saved_and_merged(
    tmp_path,
):
    lm, base = paligemma(), paligemma()
    batch = {
        **BATCH,
        "images": np.ones((2, 16, 16, 3), "float32"),
        "response_mask": np.zeros((2, 12), "int32"),
    }
    before = ops.convert_to_numpy(lm(batch))
    keras_grow.grow_model(lm)
    np.testing.assert_array_equal(ops.convert_to_numpy(lm(batch)), before)
    lm.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    lm.fit(batch, np.ones(before.shape[:2], "int32"), verbose=0)
    after = ops.convert_to_numpy(lm(batch))
    assert np.abs(after - before).max() > 1e-3
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(ops.convert_to_numpy(lm(batch)), before)
    keras_grow.save_growth(lm, tmp_path / "pali.grow.safetensors")
    keras_grow.load_growth(base, tmp_path / "pali.grow.safetensors")
    np.testing.assert_array_equal(ops.convert_to_numpy(base(batch)), after)
    merged = keras_grow.merge_growth(lm)
    assert type(merged) is models.PaliGemmaCausalLM
    np.testing.assert_allclose(
        ops.convert_to_numpy(merged(batch)), after, atol=1e-4
    )


def test_another_family_is_one_row_of_data(request):
    request.addfinalizer(lambda: FAMILIES.pop(models.BertBackbone))
    backbone = models.BertBackbone(
        vocabulary_size=50,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        dropout=0.0,
        max_sequence_length=16,
    )
    with pytest.raises(ValueError, match=r"known family.*BertBackbone"):
        keras_grow.grow_model(backbone)
    keras_grow.register_family(
        keras_grow.Family(
            models.BertBackbone,
            up=("_feedforward_intermediate_dense",),
            down="_feedforward_output_dense",
            heads="num_heads",
        )
    )
    batch = {name: np.minimum(x, 49) for name, x in BATCH.items()}
    batch["segment_ids"] = np.zeros_like(batch["token_ids"])

    def hidden(model):
        return ops.convert_to_numpy(model(batch)["sequence_output"])

    before = hidden(backbone)
    keras_grow.grow_model(backbone)
    np.testing.assert_array_equal(hidden(backbone), before)
    merged = keras_grow.merge_growth(backbone)
    np.testing.assert_allclose(hidden(merged), before, atol=1e-5)
    with pytest.raises(ValueError, match="not registered yet"):
        keras_grow.register_family(keras_grow.Family(models.BertBackbone))


def test_lora_on_attention_trains_beside_the_growth_in_either_order():
    first, second = tiny_lm("gemma3"), tiny_lm("gemma3")
    keras_grow.grow_model(first, layers=[0])
    first.backbone.enable_lora(2)
    second.backbone.enable_lora(2)
    keras_grow.grow_model(second, layers=[0])
    for lm in (first, second):
        names = [w.name for w in lm.trainable_weights]
        assert names.count("kernel") == 3
        assert sum("lora" in name for name in names) == 2 * 2 * 2


def test_growth_can_be_removed_again():
    lm = tiny_lm("gemma3")
    before, weights = outputs(lm), [w.path for w in lm.weights]
    keras_grow.grow_model(lm)
    for weight in lm.trainable_weights:
        weight.assign(weight + 1.0)
    assert keras_grow.remove_growth(lm) is lm
    np.testing.assert_array_equal(outputs(lm), before)
    assert [w.path for w in lm.weights] == weights
    assert len(lm.trainable_weights) == len(weights)
    assert type(lm.backbone) is models.Gemma3Backbone


@pytest.fixture(scope="module")
def refusing():
    """A model that no test changes, with its outputs and its config."""
    lm = tiny_lm("gemma3")
    return lm, outputs(lm), lm.backbone.get_config()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"factor": 1}, ValueError, "factor=1"),
        ({"factor": 0}, ValueError, "factor=0"),
        ({"factor": -2}, ValueError, "factor=-2"),
        ({"factor": 2.5}, ValueError, r"factor=2\.5"),
        ({"factor": "2"}, ValueError, "factor='2'"),
        ({"factor": True}, ValueError, "factor=True"),
        ({"layers": [99]}, ValueError, r"from 0 to 1\. Received.*99"),
        ({"layers": [-1]}, ValueError, r"Received: layers=\[-1\]"),
        ({"layers": [1, 1]}, ValueError, "every block index once"),
        ({"layers": []}, ValueError, "at least one block"),
        ({"layers": 0}, ValueError, "from 1 to 2"),
        ({"layers": 5}, ValueError, "layers=5"),
        ({"layers": "all"}, TypeError, "layers='all'"),
        ({"layers": 2.0}, TypeError, r"layers=2\.0"),
        ({"strategy": "freeze"}, ValueError, "strategy='freeze'"),
        ({"init": "ones"}, ValueError, "init='ones'"),
        ({"shares": "unequal"}, ValueError, 'shares="equal"'),
        (
            {"strategy": "g_train", "init": "zero_down"},
            ValueError,
            "never receive a gradient",
        ),
        ({"slice_dtype": "int8"}, ValueError, "slice_dtype='int8'"),
        ({"seed": 0.5}, ValueError, r"seed=0\.5"),
    ],
    ids=str,
)
def test_bad_input_is_refused_and_the_model_is_unchanged(
    refusing, options, error, message
):
    lm, before, config = refusing
    with pytest.raises(error, match=message):
        keras_grow.grow_model(lm, **options)
    np.testing.assert_array_equal(outputs(lm), before)
    assert lm.backbone.get_config() == config
    assert len(lm.trainable_weights) == len(lm.weights)


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that has no config."""

    def __call__(self, step):
        return 1e-3


def test_an_optimizer_that_cannot_be_rebuilt_is_refused_first():
    lm = tiny_lm("gemma3")
    lm.compile(optimizer=keras.optimizers.Adam(Schedule()))
    with pytest.raises(ValueError, match="rebuilt from its config"):
        keras_grow.grow_model(lm)
    assert len(lm.trainable_weights) == len(lm.weights)
    assert not keras_grow.growth.state.growths_of(lm)


def test_numpy_integers_are_accepted(tmp_path):
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm, np.int64(2), np.array([1]), seed=np.int32(3))
    config = lm.backbone.growths[0]
    assert keras_grow.GrowthConfig.from_json(config.to_json()) == config


def test_models_that_cannot_be_grown_are_refused():
    with pytest.raises(TypeError, match=r"KerasHub model.*Sequential"):
        keras_grow.grow_model(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match="Received: 'gemma'"):
        keras_grow.grow_model("gemma")
    quantized = tiny_lm("gemma3", hidden_dim=32)
    for layer in quantized.backbone.transformer_layers:
        layer.ffw_linear.quantize("int8")
    with pytest.raises(ValueError, match="quantized to int8"):
        keras_grow.grow_model(quantized)
    lora = tiny_lm("gemma3")
    lora.backbone.enable_lora(2, target_layer_names=["ffw_gating"])
    with pytest.raises(ValueError, match="without LoRA"):
        keras_grow.grow_model(lora)
    grown = tiny_lm("gemma3")
    keras_grow.grow_model(grown)
    with pytest.raises(ValueError, match="other than the grown MLPs"):
        grown.backbone.enable_lora(2, target_layer_names=["ffw_gating"])


@pytest.mark.parametrize("first", ["g_freeze", "g_freeze_up", "g_train"])
def test_g_train_and_a_second_growth_exclude_each_other(first):
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm, strategy=first, layers=[0])
    before = outputs(lm)
    second = "g_freeze_up" if first == "g_train" else "g_train"
    with pytest.raises(ValueError, match="above or below another"):
        keras_grow.grow_model(lm, strategy=second)
    np.testing.assert_array_equal(outputs(lm), before)
    assert len(lm.backbone.growths) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("g_freeze", "g_freeze_up"),
        ("g_freeze_up", "g_freeze_up"),
        ("g_freeze_up", "g_freeze"),
    ],
)
def test_new_up_projections_grow_below_and_on_top_of_others(first, second):
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm, strategy=first)
    for weight in lm.trainable_weights:
        weight.assign(weight * 1.5)
    before = outputs(lm)
    keras_grow.grow_model(lm, strategy=second, layers=[1])
    # Where the newest slices no longer share the base's product, it rounds.
    atol = 1e-5 if (first, second) == ("g_freeze_up", "g_freeze") else 0
    np.testing.assert_allclose(outputs(lm), before, rtol=0, atol=atol)
    assert all("growth_2" in w.path for w in lm.trainable_weights)

"""A merged model is plain KerasHub; the mask says which entries trained."""

import subprocess
import sys

import numpy as np
import pytest
from family_models import batch_for
from family_models import tiny_backbone
from keras import ops
from keras_hub import models
from tiny_models import tiny_lm
from tiny_models import token_batch
from tiny_tasks import tiny_classifier
from tiny_tasks import tiny_embedder

import keras_grow

BATCH = token_batch()


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def trained(family, dtype="float32", **options):
    lm = tiny_lm(family, dtype, tokenizer=True, num_layers=3)
    keras_grow.grow_model(lm, **options)
    return stir(lm)


def stir(lm):
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return lm


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": [1], "factor": 3},
        {"strategy": "g_freeze_up", "factor": 3},
        {"strategy": "g_train", "shares": "unequal"},
    ],
    ids=str,
)
def test_merged_logits_are_those_of_the_grown_model(family, options):
    lm = trained(family, **options)
    plain = keras_grow.merge_growth(lm)
    assert type(plain).__module__.startswith("keras_hub.")
    assert type(plain.backbone) in (models.GemmaBackbone, models.Gemma3Backbone)
    np.testing.assert_allclose(outputs(plain), outputs(lm), atol=2e-5)


def test_in_bfloat16_the_merged_model_agrees_to_its_rounding():
    lm = trained("gemma3", "bfloat16")
    expected = outputs(lm)
    scale = np.abs(expected).max()
    error = np.abs(outputs(keras_grow.merge_growth(lm)) - expected).max()
    assert error < 0.05 * scale
    plain = keras_grow.merge_growth(lm, dtype="float32")
    assert np.abs(outputs(plain) - expected).max() < 0.05 * scale


def test_two_growths_and_lora_are_merged_too():
    lm = trained("gemma3", layers=[0, 1])
    keras_grow.grow_model(lm, layers=[1, 2])
    lm.backbone.enable_lora(2)
    rng = np.random.default_rng(2)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    plain = keras_grow.merge_growth(lm)
    np.testing.assert_allclose(outputs(plain), outputs(lm), atol=2e-5)
    assert plain.backbone.intermediate_dim == 72


@pytest.mark.parametrize("task", [tiny_embedder, tiny_classifier])
def test_a_task_keeps_its_settings_and_its_head(task):
    lm = task()
    keras_grow.grow_model(lm, layers=[0])
    stir(lm)
    plain = keras_grow.merge_growth(lm)
    assert type(plain) is type(lm).plain_class
    np.testing.assert_allclose(outputs(plain), outputs(lm), atol=2e-5)
    if task is tiny_classifier:
        lm.score.enable_lora(2)
        lm.score.lora_kernel_b.assign(ops.ones((2, 5)))
        plain = keras_grow.merge_growth(lm)
        np.testing.assert_allclose(outputs(plain), outputs(lm), atol=2e-5)


@pytest.mark.once
def test_a_merged_preset_loads_where_keras_grow_is_not_imported(tmp_path):
    lm = trained("gemma3", layers=[1])
    plain = keras_grow.merge_growth(lm)
    plain.save_to_preset(str(tmp_path / "merged"))
    np.savez(tmp_path / "batch.npz", **BATCH)
    script = f"""
import sys
import keras_hub
import numpy as np
from keras import ops
lm = keras_hub.models.CausalLM.from_preset({str(tmp_path / "merged")!r})
batch = dict(np.load({str(tmp_path / "batch.npz")!r}))
np.save({str(tmp_path / "out.npy")!r}, ops.convert_to_numpy(lm(batch)))
assert not any(name.startswith("keras_grow") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "out.npy"), outputs(lm), atol=2e-5
    )


def test_a_tied_llama_loads_again_merged_or_with_its_growth_removed(tmp_path):
    # KerasHub's config of a Llama leaves out that its head is tied.
    base = tiny_backbone("Llama 3")
    assert "tie_word_embeddings" not in base.get_config()
    merged = keras_grow.merge_growth(keras_grow.grow_model(base))
    keras_grow.remove_growth(base)
    keras_grow.remove_growth(keras_grow.grow_model(merged))
    x = batch_for("Llama 3")
    for name, backbone in {"merged": merged, "base": base}.items():
        backbone.save_to_preset(str(tmp_path / name))
        loaded = models.Backbone.from_preset(str(tmp_path / name))
        assert type(loaded) is models.Llama3Backbone
        wanted = ops.convert_to_numpy(backbone(x))
        np.testing.assert_array_equal(ops.convert_to_numpy(loaded(x)), wanted)


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_the_mask_is_true_where_the_merged_kernel_trains(strategy):
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm, layers=[1], strategy=strategy)
    masks = keras_grow.trainable_mask(lm)
    up, down = np.zeros((16, 48), bool), np.zeros((48, 16), bool)
    up[:, 0 if strategy == "g_train" else 24 :] = True
    if strategy == "g_freeze":
        down[24:] = True
    assert sorted(masks) == [
        f"decoder_block_1/{slot}/kernel"
        for slot in ("ffw_gating", "ffw_gating_2", "ffw_linear")
    ]
    for path, mask in masks.items():
        np.testing.assert_array_equal(mask, down if "linear" in path else up)


def test_a_model_that_is_not_grown_cannot_be_merged():
    for call in (keras_grow.merge_growth, keras_grow.trainable_mask):
        with pytest.raises(ValueError, match="Expected a grown model"):
            call(tiny_lm("gemma3"))


def test_merging_while_growth_is_disabled_is_refused():
    lm = tiny_lm("gemma3", num_layers=1)
    keras_grow.grow_model(lm)
    with (
        keras_grow.growth_disabled(lm),
        pytest.raises(ValueError, match="switched on"),
    ):
        keras_grow.merge_growth(lm)

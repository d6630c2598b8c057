import json
import pathlib
import runpy
import sys

import keras
import keras_hub
import numpy as np
import pytest
from tiny_models import token_batch

gguf = pytest.importorskip("gguf", reason="needs the gguf package")

import tiny_gguf  # noqa: E402

from keras_grow.loading.gemma3_gguf import load_gemma3_gguf  # noqa: E402
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf_backbone  # noqa: E402
from keras_grow.loading.gemma3_layout import query_gain  # noqa: E402

BENCHMARK = (
    pathlib.Path(__file__).parents[2] / "examples/benchmarks/load_gguf.py"
)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_gguf.original_tokenizer()


@pytest.fixture
def write(tmp_path, tokenizer):
    """Write a model as GGUF, with changed metadata and tensors."""

    def to_file(lm, entries=(), tensors=(), drop=(), quantization="F32"):
        found = {**tiny_gguf.metadata(lm, tokenizer), **dict(entries)}
        arrays = {**tiny_gguf.tensors(lm), **dict(tensors)}
        return tiny_gguf.write(
            tmp_path / "tiny.gguf",
            {key: found[key] for key in found if key not in drop},
            {key: arrays[key] for key in arrays if key not in drop},
            quantization,
        )

    return to_file


def logits(lm):
    return keras.ops.convert_to_numpy(
        keras.ops.cast(lm(token_batch(length=20)), "float32")
    )


SIZES = {
    "as the suite's": {},
    "one key-value head, other widths": {
        "num_layers": 7,
        "num_query_heads": 3,
        "num_key_value_heads": 1,
        "hidden_dim": 20,
        "intermediate_dim": 12,
        "head_dim": 6,
        "sliding_window_size": 3,
    },
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_loaded_model_is_the_one_written(write, tokenizer, size):
    lm = tiny_gguf.gemma3(tokenizer, **size)
    loaded = load_gemma3_gguf(write(lm))
    assert type(loaded) is keras_hub.models.Gemma3CausalLM
    assert loaded.backbone.get_config() == {
        **lm.backbone.get_config(),
        "name": loaded.backbone.name,
    }
    for ours, theirs in zip(loaded.weights, lm.weights, strict=True):
        assert ours.path.split("/")[-2:] == theirs.path.split("/")[-2:]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(logits(loaded), logits(lm), atol=2e-5)


def test_quantized_weights_are_what_the_gguf_package_makes_of_them(
    write, tokenizer
):
    lm = tiny_gguf.gemma3(
        tokenizer, hidden_dim=32, intermediate_dim=64, head_dim=16
    )
    loaded = load_gemma3_gguf(write(lm, quantization="Q8_0"))
    kind = gguf.GGMLQuantizationType.Q8_0
    kernel = keras.ops.convert_to_numpy(
        lm.backbone.transformer_layers[1].ffw_linear.kernel
    )
    expected = gguf.dequantize(
        gguf.quantize(np.ascontiguousarray(kernel.T), kind), kind
    ).T
    np.testing.assert_array_equal(
        loaded.backbone.transformer_layers[1].ffw_linear.kernel, expected
    )
    assert not np.array_equal(kernel, expected)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_the_dtype_policy_is_the_callers(write, tokenizer, dtype):
    lm = tiny_gguf.gemma3(tokenizer)
    loaded = load_gemma3_gguf(write(lm), dtype=dtype)
    policy = keras.DTypePolicy(dtype)
    for ours, theirs in zip(loaded.weights, lm.weights, strict=True):
        assert keras.backend.standardize_dtype(ours.dtype) == (
            policy.variable_dtype
        )
        expected = keras.ops.cast(theirs, policy.variable_dtype)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(keras.ops.cast(ours, "float32")),
            keras.ops.convert_to_numpy(keras.ops.cast(expected, "float32")),
            atol=1e-6,
            # Adding and taking away one may round a norm the other way.
            rtol=1e-2,
        )
    assert loaded.backbone.compute_dtype == policy.compute_dtype


def test_strings_go_in_and_come_out(write, tokenizer):
    lm = load_gemma3_gguf(write(tiny_gguf.gemma3(tokenizer, num_layers=1)))
    ids = lm.preprocessor.generate_preprocess("the fox", sequence_length=32)
    expected = [2, *tokenizer.encode("the fox")]
    assert np.array(ids["token_ids"])[: len(expected)].tolist() == expected
    assert np.array(ids["padding_mask"]).sum() == len(expected)
    text = lm.generate("the fox", max_length=8)
    assert text.startswith("the fox")


def test_the_backbone_alone_has_the_weights_and_needs_no_tokenizer(
    write, tokenizer, monkeypatch
):
    lm = tiny_gguf.gemma3(tokenizer, num_layers=1)
    path = write(lm)
    monkeypatch.delattr("keras_hub.models.Gemma3Tokenizer")
    backbone = load_gemma3_gguf_backbone(path)
    for found, wanted in zip(
        backbone.weights, lm.backbone.weights, strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_the_loaded_model_trains(write, tokenizer):
    lm = load_gemma3_gguf(write(tiny_gguf.gemma3(tokenizer, num_layers=1)))
    before = [np.array(weight) for weight in lm.weights]
    lm.preprocessor.sequence_length = 16
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    x = {
        "prompts": np.array(["the quick", "hello"]),
        "responses": np.array([" fox", " world"]),
    }
    fit = lm.fit(x, batch_size=2, epochs=3, shuffle=False, verbose=0)
    history = fit.history["loss"]
    assert history[-1] < history[0]
    for weight, old in zip(lm.weights, before, strict=True):
        assert weight.trainable
        assert not np.array_equal(weight, old), weight.path


# KerasHub leaves the vocabulary's file for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_loaded_model_survives_save_to_preset(write, tokenizer, tmp_path):
    lm = load_gemma3_gguf(write(tiny_gguf.gemma3(tokenizer, num_layers=1)))
    lm.save_to_preset(str(tmp_path / "preset"))
    again = keras_hub.models.CausalLM.from_preset(str(tmp_path / "preset"))
    assert type(again) is keras_hub.models.Gemma3CausalLM
    np.testing.assert_array_equal(logits(again), logits(lm))
    text = "déjà  vu <end_of_turn>\n"
    for model in (lm, again):
        ids = model.preprocessor.tokenizer(text)
        assert list(map(int, ids)) == tokenizer.encode(text)
        assert not model.preprocessor.tokenizer.has_vision_tokens


def test_rope_scaling_and_logit_caps_come_from_the_file(write, tokenizer):
    lm = tiny_gguf.gemma3(
        tokenizer,
        num_layers=6,
        global_rope_scaling_factor=8.0,
        final_logit_soft_cap=3.0,
        attention_logit_soft_cap=2.0,
    )
    entries = {
        "gemma3.rope.scaling.type": "linear",
        "gemma3.rope.scaling.factor": 8.0,
        "gemma3.final_logit_softcapping": 3.0,
        "gemma3.attn_logit_softcapping": 2.0,
    }
    loaded = load_gemma3_gguf(write(lm, entries))
    np.testing.assert_allclose(logits(loaded), logits(lm), atol=2e-5)
    plain = load_gemma3_gguf(write(lm))
    assert np.abs(logits(plain) - logits(lm)).max() > 1e-3


def test_an_embedding_may_be_padded_beyond_the_vocabulary(write, tokenizer):
    size = tokenizer.vocab_size() + 6
    lm = tiny_gguf.gemma3(tokenizer, vocabulary_size=size)
    loaded = load_gemma3_gguf(write(lm))
    assert loaded.backbone.vocabulary_size == size
    np.testing.assert_allclose(logits(loaded), logits(lm), atol=2e-5)


def scaled_logits(lm, number):
    """Logits with queries over the root of `number`, by KerasHub's switch."""
    for block in lm.backbone.transformer_layers:
        block.attention.query_head_dim_normalize = False
    assert lm.backbone.hidden_dim // lm.backbone.num_query_heads == number
    return logits(lm)


@pytest.mark.no_backend
def test_the_27b_model_is_told_by_its_blocks_and_scaled_by_its_width():
    sizes = {
        "gemma3.block_count": 62,
        "gemma3.embedding_length": 5376,
        "gemma3.attention.head_count": 32,
        "gemma3.attention.key_length": 128,
    }
    # 5376 over 32 heads is the 168 of the published configuration.
    assert query_gain(sizes) == pytest.approx((128 / 168) ** 0.5)
    assert query_gain({**sizes, "gemma3.block_count": 48}) == 1


def test_another_query_scale_is_kept_in_the_query_norm(write, tokenizer):
    lm = tiny_gguf.gemma3(tokenizer)
    path = write(lm, {"gemma3.attention.scale": 0.5})
    expected = scaled_logits(lm, 4)
    np.testing.assert_allclose(
        logits(load_gemma3_gguf(path)), expected, atol=2e-5
    )


def test_a_failed_read_leaves_keras_as_it_was(write, tokenizer, monkeypatch):
    from keras_grow.loading.gguf_file import GgufFile

    path = write(tiny_gguf.gemma3(tokenizer))
    read = GgufFile.read

    def fail_half_way(self, name):
        if name == "blk.1.ffn_up.weight":
            raise OSError("the disk has gone")
        return read(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(GgufFile, "read", fail_half_way)
        with pytest.raises(OSError, match="the disk has gone"):
            load_gemma3_gguf(path)
    lm = tiny_gguf.gemma3(tokenizer)
    np.testing.assert_allclose(
        logits(load_gemma3_gguf(path)), logits(lm), atol=2e-5
    )


def test_the_benchmark_prints_json(write, tokenizer, monkeypatch, capsys):
    path = write(tiny_gguf.gemma3(tokenizer))
    monkeypatch.setattr(sys, "argv", ["load_gguf.py", "--gguf", str(path)])
    runpy.run_path(str(BENCHMARK), run_name="__main__")
    figures = json.loads(capsys.readouterr().out)
    assert figures["peak_rss_gb"] > 0
    assert figures["seconds"]["total"] >= figures["seconds"]["load"] > 0

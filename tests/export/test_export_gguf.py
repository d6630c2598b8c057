"""GGUF files compute what KerasHub computes, read back by two loaders."""

import errno
import types

import gguf
import keras
import numpy as np
import pytest
import tiny_families
import tiny_tokenizers
from tiny_gguf_tasks import GGUF_FAMILIES
from tiny_gguf_tasks import gguf_task

import keras_grow
from keras_grow import export_gguf
from keras_grow.export import check
from keras_grow.export import gguf_layout
from keras_grow.export import to_gguf
from keras_grow.export.modelfile import modelfile
from keras_grow.export.modelfile import without_generation_tags
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf
from keras_grow.tasks import ChatTemplate
from keras_grow.tasks.chat_templates import TEMPLATES


@pytest.fixture(scope="module")
def gemma3():
    return gguf_task("gemma3")


FAMILIES = GGUF_FAMILIES if keras.backend.backend() == "jax" else ("gemma3",)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_read_the_same_logits(family, tmp_path, request):
    pytest.importorskip("accelerate", reason="transformers need it for GGUF")
    is_gemma = family == "gemma3"
    lm = request.getfixturevalue("gemma3") if is_gemma else gguf_task(family)
    path = tmp_path / "tiny.gguf"
    exported = export_gguf(lm, path, "f32")
    assert exported.padding_bytes > 0
    ids = np.random.default_rng(0).integers(0, 400, tiny_families.LENGTH)
    theirs = check.load_transformers(path)
    np.testing.assert_allclose(
        check.transformers_logits(theirs, ids),
        check.logits(lm, [ids])[0],
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("quantization", "tolerance"),
    [("f32", 1e-5), ("f16", 1e-2), ("bf16", 5e-2), ("q8_0", 5e-2)],
)
def test_the_librarys_loader_reads_every_quantization(
    gemma3, quantization, tolerance, tmp_path
):
    path = tmp_path / "tiny.gguf"
    exported = export_gguf(gemma3, path, quantization)
    kinds = {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}
    assert kinds["blk.5.ffn_gate.weight"] == quantization.upper()
    assert kinds["blk.5.ffn_norm.weight"] == "F32"
    assert exported.weight_bytes < path.stat().st_size
    loaded = load_gemma3_gguf(path)
    ids = tiny_families.tokens()
    found = check.logits(loaded, [ids])
    expected = check.logits(gemma3, [ids])
    error = np.abs(found - expected).mean() / np.abs(expected).mean()
    assert error < tolerance
    texts = tiny_tokenizers.TEXTS
    ours = loaded.preprocessor.tokenizer
    for text in texts:
        np.testing.assert_array_equal(
            ours(text), gemma3.preprocessor.tokenizer(text)
        )


def test_the_rows_of_a_rotary_kernel_are_reordered():
    # Two heads of four rows each: halves (0, 1) and (2, 3) are interleaved.
    rows = np.arange(8)[:, None] * np.ones((1, 3))
    arrange = gguf_layout.change(
        "llama",
        "model.layers.0.self_attn.q_proj.weight",
        {"num_attention_heads": 2},
    )
    assert arrange(rows)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_scaled_rotary_frequencies_are_those_of_kerashub():
    model = tiny_families.backbone(
        "llama3", num_layers=1, rope_pretraining_sequence_length=8192
    )
    (block,) = model.transformer_layers
    rotary = block._self_attention_layer.rotary_embedding_layer
    found = keras.ops.convert_to_numpy(rotary._get_inverse_freq(16))
    plain = 500000.0 ** -(np.arange(0, 16, 2) / 16)
    factors = gguf_layout.rope_factors(
        {
            "head_dim": 16,
            "rope_theta": 500000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        }
    )
    np.testing.assert_allclose(plain / factors, found, rtol=1e-5)
    assert len(set(np.round(factors, 3))) > 2


def test_a_window_that_llama_cpp_does_not_support_limits_the_context():
    config = {"max_position_embeddings": 32768, "sliding_window": 4096}
    assert gguf_layout._context("llama", config) == 4096
    off = {**config, "use_sliding_window": False}
    assert gguf_layout._context("qwen2", off) == 32768
    assert gguf_layout._context("gemma3", config) == 32768


def test_the_card_has_a_modelfile(gemma3, tmp_path):
    export_gguf(gemma3, tmp_path / "tiny.gguf", card={"base": "Gemma 3 270M"})
    text = (tmp_path / "tiny.gguf.md").read_text()
    assert "FROM ./tiny.gguf" in text
    assert "- Base: Gemma 3 270M" in text
    assert "https://ai.google.dev/gemma/terms" in text


def test_a_chat_template_is_in_the_file_and_in_ollamas_syntax(gemma3, tmp_path):
    path = tmp_path / "tiny.gguf"
    export_gguf(gemma3, path, chat_template="gemma")
    text = (tmp_path / "tiny.gguf.md").read_text()
    assert (tmp_path / "tiny.gguf.Modelfile").read_text() in text
    turns = (
        "<start_of_turn>user\n{}{{{{ .Prompt }}}}<end_of_turn>\n"
        "<start_of_turn>model\n{{{{ .Response }}}}<end_of_turn>\n"
    )
    system = turns.format("{{ .System }}\n\n")
    assert (
        "FROM ./tiny.gguf\n"
        f'TEMPLATE """{{{{ if .System }}}}{system}'
        f'{{{{ else }}}}{turns.format("")}{{{{ end }}}}"""\n'
        'PARAMETER stop "<end_of_turn>"\n'
    ) in text
    keys = gguf.GGUFReader(path).fields
    turn = gemma3.preprocessor.tokenizer.token_to_id("<end_of_turn>")
    assert keys["tokenizer.ggml.eos_token_id"].contents() == 1
    assert keys["tokenizer.ggml.eot_token_id"].contents() == turn
    source = keys["tokenizer.chat_template"].contents()
    assert "generation %}" not in source.replace("add_generation", "")


@pytest.mark.no_backend
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_without_generation_tags_renders_the_same_text(name):
    chat = ChatTemplate.of(name)
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Why"},
    ]
    source = without_generation_tags(chat.source)
    assert source != chat.source
    plain = ChatTemplate(source, chat.bos_token, chat.eos_token)
    assert plain.render(turns) == chat.render(turns)
    assert f'stop "{chat.turns(turns)[0].end}"' in modelfile("a.gguf", chat)


def test_models_and_options_that_gguf_does_not_support_are_refused(
    gemma3, tmp_path, monkeypatch
):
    path = tmp_path / "out.gguf"
    with pytest.raises(ValueError, match="Received: quantization='q4_k_m'"):
        export_gguf(gemma3, path, "q4_k_m")
    with pytest.raises(ValueError, match="Expected a template in Jinja"):
        export_gguf(gemma3, path, chat_template="{% if %}{{ 1 }}")
    with pytest.raises(ValueError, match="without one"):
        export_gguf(gemma3.backbone, path)
    with pytest.raises(ValueError, match="Received: gpt2"):
        export_gguf(tiny_families.backbone("gpt2"), path)
    with (
        keras_grow.growth_disabled(gemma3),
        pytest.raises(ValueError, match="inside `growth_disabled`"),
    ):
        export_gguf(gemma3, path)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(to_gguf.Tensor, "read", full)
        with pytest.raises(OSError, match="No space left"):
            export_gguf(gemma3, path)
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(ValueError, match="path of a new file"):
        export_gguf(gemma3, path)
    assert path.read_text() == "mine"


def test_a_gemma3_that_llama_cpp_would_scale_differently_is_refused():
    config = types.SimpleNamespace(
        layer_types=["sliding_attention"],
        num_hidden_layers=62,
        head_dim=128,
        hidden_size=5376,
        num_attention_heads=32,
        query_pre_attn_scalar=128,
    )
    with pytest.raises(ValueError, match="root of 168"):
        gguf_layout._check_gemma3(vars(config))

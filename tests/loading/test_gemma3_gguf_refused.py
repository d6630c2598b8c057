"""What `load_gemma3_gguf` refuses; no model is built in these tests."""

import sys

import numpy as np
import pytest

gguf = pytest.importorskip("gguf", reason="needs the gguf package")

import tiny_gguf  # noqa: E402

from keras_grow.loading.gemma3_gguf import load_gemma3_gguf  # noqa: E402
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf_backbone  # noqa: E402


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """No model is made in these tests, so there is nothing to clear."""


content = pytest.fixture(scope="module")(tiny_gguf.content)


@pytest.fixture
def write(tmp_path, content):
    """Write the tiny model with changed metadata and tensors."""

    def to_file(entries=(), tensors=(), drop=()):
        found, arrays = {**content[0], **dict(entries)}, dict(content[1])
        arrays.update(tensors)
        return tiny_gguf.write(
            tmp_path / "tiny.gguf",
            {key: found[key] for key in found if key not in drop},
            {key: arrays[key] for key in arrays if key not in drop},
        )

    return to_file


REFUSED = {
    "another architecture": (
        {"general.architecture": "llama"},
        "architecture 'gemma3'.*'llama'",
    ),
    "an embedding model": (
        {"general.architecture": "gemma-embedding"},
        "'gemma-embedding'",
    ),
    "one piece of several": ({"split.count": 3}, "llama-gguf-split --merge"),
    "no blocks": ({"gemma3.block_count": 0}, "block_count to be a positive"),
    "text for a size": (
        {"gemma3.embedding_length": "16"},
        "embedding_length to be a positive integer",
    ),
    "heads a block": (
        {"gemma3.attention.head_count": [4, 4, 2, 4]},
        "head_count to be a positive integer",
    ),
    "heads that do not divide": (
        {"gemma3.attention.head_count_kv": 3},
        "head_count_kv to divide 4",
    ),
    "an odd head": ({"gemma3.attention.key_length": 7}, "to be even"),
    "values of another size": (
        {"gemma3.attention.value_length": 16},
        "value_length to be 8",
    ),
    "another epsilon": (
        {"gemma3.attention.layer_norm_rms_epsilon": 1e-5},
        "epsilon to be 1e-06, as in KerasHub",
    ),
    "another wavelength": (
        {"gemma3.rope.freq_base": 5e5},
        r"freq_base to be 1e\+06, as in KerasHub",
    ),
    "another local wavelength": (
        {"gemma3.rope.freq_base_swa": 5e5},
        "freq_base_swa to be 10000",
    ),
    "another window pattern": (
        {"gemma3.attention.sliding_window_pattern": 4},
        "sliding_window_pattern to be 6",
    ),
    "yarn": ({"gemma3.rope.scaling.type": "yarn"}, "'linear' or 'none'"),
    "a rope factor that is none": (
        {"gemma3.rope.scaling.factor": float("nan")},
        "factor to be a finite number",
    ),
    "a negative rope factor": (
        {"gemma3.rope.scaling.factor": -8.0},
        "factor to be positive",
    ),
    "a negative cap": (
        {"gemma3.final_logit_softcapping": -1.0},
        "softcapping to be positive",
    ),
    "more blocks than tensors": (
        {"gemma3.block_count": 2**31},
        r"tensor 'blk.2.attn_norm.weight' of the shape.*Received: none",
    ),
    "fewer blocks than tensors": (
        {"gemma3.block_count": 1},
        r"15 tensors.*blk.1.attn_k.weight",
    ),
    "another width": (
        {"gemma3.feed_forward_length": 2**31},
        r"ffn_gate.weight' of the shape \(2147483648, 16\).*\(24, 16\)",
    ),
    "another vocabulary": (
        {"tokenizer.ggml.model": "gpt2"},
        "model to be 'llama'",
    ),
}


@pytest.mark.parametrize(
    ("entries", "match"), REFUSED.values(), ids=REFUSED.keys()
)
def test_metadata_that_does_not_fit_is_refused(write, entries, match):
    path = write(entries)
    with pytest.raises(ValueError, match=match):
        load_gemma3_gguf(path)


def test_missing_keys_and_tensors_are_named(write):
    for dropped, match in [
        ("gemma3.rope.freq_base", "rope.freq_base to be .* number.*None"),
        ("gemma3.attention.sliding_window", "sliding_window to be a positive"),
        ("tokenizer.ggml.scores", "scores to be a number for each token"),
        ("token_embd.weight", "tensor 'token_embd.weight'.*Received: none"),
        ("blk.1.ffn_up.weight", "tensor 'blk.1.ffn_up.weight'"),
    ]:
        path = write(drop=[dropped])
        with pytest.raises(ValueError, match=match):
            load_gemma3_gguf(path)


def test_a_backbone_needs_to_know_how_many_tokens_there_are(write):
    for path in (
        write(drop=["tokenizer.ggml.tokens"]),
        write({"tokenizer.ggml.tokens": 400}),
    ):
        with pytest.raises(ValueError, match="tokens to be a list of strings"):
            load_gemma3_gguf_backbone(path)


def test_tensors_without_a_place_are_named(write):
    head = {"output.weight": np.ones((4, 4), "float32")}
    with pytest.raises(ValueError, match=r"output.weight.*no place"):
        load_gemma3_gguf(write(tensors=head))


def test_an_embedding_shorter_than_the_vocabulary_is_refused(write):
    short = {"token_embd.weight": np.ones((50, 16), "float32")}
    with pytest.raises(ValueError, match="of 50 rows"):
        load_gemma3_gguf(write(tensors=short))


@pytest.mark.no_backend
def test_a_quantized_dtype_is_refused():
    with pytest.raises(ValueError, match=r"floating-point `dtype`.*int8"):
        load_gemma3_gguf("any.gguf", dtype="int8_from_float32")


@pytest.mark.no_backend
def test_without_the_gguf_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[gguf\]'"):
        load_gemma3_gguf("any.gguf")

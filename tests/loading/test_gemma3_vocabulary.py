import pytest

pytest.importorskip("gguf", reason="needs the gguf package")

import keras_hub
import numpy as np
import sentencepiece
import tiny_gguf

from keras_grow.loading.gemma3_gguf import _tokenizer
from keras_grow.loading.gemma3_vocabulary import sentencepiece_proto

TRICKY = [
    "the quick brown fox",
    " leading space",
    "   three   runs  of    spaces     ",
    "trailing \n\n\n\n newline\n",
    "\ttab\tand\r\nreturn",
    "déjà vu, naïve Ωmega",
    "日本語とemoji 🎉👩‍👩‍👧 mixed",
    "bytes \x01\x7f\u200b\u00a0 end",
    "▁ already escaped ▁▁",
    "<start_of_turn>user\nhi<end_of_turn>\n",
    "<bos>not<eos>control<pad><unk>",
    "",
]


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """No model is made in these tests, so there is nothing to clear."""


@pytest.fixture(scope="module")
def original():
    return tiny_gguf.original_tokenizer()


def entries(original, **changes):
    tokens, scores, types = tiny_gguf.vocabulary(original)
    found = {
        "model": "llama",
        "tokens": tokens,
        "scores": np.array(scores, "float32"),
        "token_type": np.array(types, "int32"),
        "unknown_token_id": 3,
        "bos_token_id": 2,
        "padding_token_id": 0,
        "add_space_prefix": False,
        **changes,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in found.items()}


@pytest.mark.no_backend
def test_loading_a_tokenizer_writes_nothing(original, capfd):
    _tokenizer(sentencepiece_proto(entries(original)))
    assert capfd.readouterr().err == ""


@pytest.mark.no_backend
@pytest.mark.parametrize("text", TRICKY)
def test_the_rebuilt_tokenizer_is_the_original_one(original, text):
    rebuilt = sentencepiece.SentencePieceProcessor(
        model_proto=sentencepiece_proto(entries(original))
    )
    assert rebuilt.encode(text) == original.encode(text)
    ids = original.encode(text)
    assert rebuilt.decode(ids) == original.decode(ids)


def test_keras_hub_tokenizes_with_it_alike(original):
    tokenizer = keras_hub.models.Gemma3Tokenizer(
        proto=sentencepiece_proto(entries(original)), has_vision_tokens=False
    )
    for text, ids in zip(TRICKY, tokenizer(TRICKY), strict=True):
        assert list(map(int, ids)) == original.encode(text)
    assert tokenizer.start_token_id == original.bos_id() == 2
    assert tokenizer.end_token_id == original.eos_id() == 1
    assert tokenizer.pad_token_id == original.pad_id() == 0
    assert tokenizer.token_to_id("<end_of_turn>") == original.piece_to_id(
        "<end_of_turn>"
    )


@pytest.mark.no_backend
def test_the_space_prefix_is_as_the_file_says(original):
    rebuilt = sentencepiece.SentencePieceProcessor(
        model_proto=sentencepiece_proto(
            entries(original, add_space_prefix=True)
        )
    )
    assert rebuilt.encode("fox") == original.encode(" fox")


def replaced(values, index, value):
    values = values.copy()
    values[index] = value
    return values


def test_turn_markers_are_whole_tokens_whatever_their_type(original):
    tokens, _, types = tiny_gguf.vocabulary(original)
    types = np.array(types)
    markers = ["<start_of_turn>", "<end_of_turn>"]
    for kind in (1, 5):
        for piece in markers:
            types[tokens.index(piece)] = kind
        with pytest.warns(UserWarning, match="control tokens") as caught:
            proto = sentencepiece_proto(entries(original, token_type=types))
        (warning,) = caught
        assert all(
            f"{m} (type {kind})" in str(warning.message) for m in markers
        )
        assert "<bos>" not in str(warning.message)
        rebuilt = sentencepiece.SentencePieceProcessor(model_proto=proto)
        for text in TRICKY:
            assert rebuilt.encode(text) == original.encode(text)


def test_special_tokens_typed_as_text_are_control_tokens_still(original):
    _, _, types = tiny_gguf.vocabulary(original)
    types = np.array(types)
    types[:4] = 1
    with pytest.warns(UserWarning, match=r"<pad> \(type 1\), <eos>.*<unk>"):
        proto = sentencepiece_proto(entries(original, token_type=types))
    rebuilt = sentencepiece.SentencePieceProcessor(model_proto=proto)
    for text in TRICKY:
        assert rebuilt.encode(text) == original.encode(text)


@pytest.mark.no_backend
def test_a_vocabulary_that_is_not_gemmas_is_refused(original):
    tokens, scores, types = tiny_gguf.vocabulary(original)
    scores, types = np.array(scores), np.array(types)
    cases = [
        ({"model": "gpt2"}, "model to be 'llama'.*'gpt2'"),
        ({"tokens": None}, "list of strings.*NoneType"),
        ({"tokens": []}, "list of strings"),
        ({"scores": scores[1:]}, "scores to be a number for each token"),
        ({"token_type": None}, "token_type to be a number for each.*NoneType"),
        ({"scores": replaced(scores, 5, np.nan)}, "scores to be finite"),
        ({"token_type": replaced(types, 5, 0)}, "1 to 6.*0 to 6"),
        ({"tokens": replaced(tokens, 20, tokens[21])}, "a token twice"),
        ({"tokens": replaced(tokens, -1, "")}, "an empty token"),
        ({"tokens": replaced(tokens, -1, "a\0b")}, "a null"),
        ({"token_type": np.where(types == 6, 1, types)}, None),
        ({"token_type": replaced(types, -1, 6)}, "no byte tokens or all 256"),
        ({"tokens": replaced(tokens, 0, "[PAD]")}, "Gemma's <pad>"),
        ({"tokens": replaced(tokens, 1, "</s>")}, "Gemma's <eos>"),
        (
            {"tokens": replaced(tokens, tokens.index("<end_of_turn>"), "x@")},
            "Gemma's <end_of_turn>",
        ),
        ({"bos_token_id": 1}, "bos_token_id to be 2.*Received: 1"),
    ]
    for changes, match in cases:
        if match is None:
            assert sentencepiece_proto(entries(original, **changes))
            continue
        with pytest.raises(ValueError, match=match):
            sentencepiece_proto(entries(original, **changes))

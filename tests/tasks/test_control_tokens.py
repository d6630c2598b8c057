"""Markers of turns are one token each in every family that has them."""

import keras_hub
import pytest
from tiny_models import tokenizer_proto

from keras_grow.evaluation.decoding import end_tokens
from keras_grow.tasks import chat_example
from keras_grow.tasks import encode
from keras_grow.tasks.control_tokens import control_tokens
from keras_grow.tasks.encoding import tokenize

pytestmark = pytest.mark.no_backend

CHAT = [
    {"role": "user", "content": "hi there"},
    {"role": "assistant", "content": "so it is"},
    {"role": "user", "content": "is it"},
    {"role": "assistant", "content": "yes"},
]


def byte_pairs(cls, *special):
    letters = [*map(chr, range(33, 127)), "Ġ", "Ċ", "zz"]
    vocabulary = {letter: n for n, letter in enumerate([*letters, *special])}
    return cls(vocabulary=vocabulary, merges=["z z"])


@pytest.fixture(scope="module")
def qwen():
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return byte_pairs(keras_hub.models.QwenTokenizer, *special)


def test_the_end_of_a_turn_ends_an_answer_in_every_family(qwen):
    gemma = keras_hub.models.Gemma3Tokenizer(proto=tokenizer_proto())
    turn = gemma.token_to_id("<end_of_turn>")
    assert end_tokens(gemma) == {gemma.end_token_id, turn}
    assert end_tokens(qwen) == {
        qwen.end_token_id,
        qwen.token_to_id("<|im_end|>"),
    }
    assert "<|im_end|>" not in control_tokens(gemma)


@pytest.mark.parametrize(
    ("family", "end"), [("Phi 3", "<|end|>"), ("Gemma 4", "<turn|>")]
)
def test_the_end_of_a_turn_ends_an_answer_in_newer_families(family, end):
    tokenizer = byte_pairs(keras_hub.models.QwenTokenizer, "<|endoftext|>", end)
    assert end_tokens(tokenizer) == {
        tokenizer.end_token_id,
        tokenizer.token_to_id(end),
    }


def test_markers_that_a_tokenizer_splits_become_whole_tokens(qwen):
    text = "<|im_start|>user\nhi<|im_end|>"
    (ids,) = tokenize(qwen, [text])
    start, end = (qwen.token_to_id(f"<|im_{n}|>") for n in ("start", "end"))
    assert (ids[0], ids[-1]) == (start, end)
    assert len(ids) == 2 + len("user\nhi")
    assert tokenize(qwen, ["hi", ""]) == [ids[-3:-1], []]


def test_a_chat_trains_on_the_markers_of_its_family(qwen):
    encoded = encode([chat_example(CHAT, "chatml")], qwen)
    learned = encoded.y[encoded.sample_weight == 1].tolist()
    end = qwen.token_to_id("<|im_end|>")
    answers = tokenize(qwen, ["so it is", "yes"])
    assert learned == [*answers[0], end, *answers[1], end]


def test_a_tokenizer_that_keeps_its_markers_is_left_alone():
    gemma = keras_hub.models.Gemma3Tokenizer(proto=tokenizer_proto())
    texts = ["hello<end_of_turn> world", "<start_of_turn>user", ""]
    whole = [list(map(int, row)) for row in gemma(texts)]
    assert tokenize(gemma, texts) == whole

"""AutoTokenizer gives the ids that KerasHub's tokenizer gives."""

import types

import keras_hub
import pytest
import tokenizers
from tiny_pieces import CORPUS
from tiny_tokenizers import TEXTS
from tiny_tokenizers import byte_pairs
from tiny_tokenizers import gemma
from tiny_tokenizers import learned
from tiny_tokenizers import llama
from tiny_tokenizers import normalized
from transformers import AutoTokenizer

from keras_grow.export.tokenizer_files import token_ids
from keras_grow.export.tokenizer_files import write_tokenizer

pytestmark = pytest.mark.no_backend

PLAIN = ["the quick brown fox", "bonjour le monde", "Füchse 東京", "", "x"]
MODELS = keras_hub.models


@pytest.mark.parametrize("make", [gemma, llama, normalized])
def test_sentencepiece_ids_are_equal(make, tmp_path):
    tokenizer = make()
    theirs = written(tokenizer, tmp_path)
    start = tokenizer.start_token_id
    # A space before every text and symbols of its own: no family has both.
    for text in TEXTS[:-1] if make is normalized else TEXTS:
        ids = [int(i) for i in tokenizer(text)]
        assert theirs(text, add_special_tokens=False).input_ids == ids, text
        # The preprocessor puts the start token before a text, so do they.
        assert theirs(text).input_ids == [start, *ids], text
    assert theirs.decode(tokenizer("the lazy dog")) == "the lazy dog"
    assert (tmp_path / "tokenizer.model").read_bytes() == tokenizer.proto


@pytest.mark.parametrize("family", ["llama3", "qwen2", "gpt2"])
def test_byte_pair_ids_are_equal(family, tmp_path):
    tokenizer = byte_pairs(family)
    theirs = written(tokenizer, tmp_path, family, starts=family == "llama3")
    # KerasHub's own does not split text before it merges pairs, and so finds
    # other pairs in runs of spaces, digits and punctuation.
    for text in [*PLAIN, f"one{tokenizer.end_token}two"]:
        ids = [int(i) for i in tokenizer(text)]
        assert theirs(text, add_special_tokens=False).input_ids == ids, text
    found = theirs("x").input_ids
    assert found[:1] == [tokenizer.start_token_id] or family != "llama3"
    assert theirs.decode(tokenizer("the dog, 12")) == "the dog, 12"


def test_gpt2_splits_every_text_as_the_byte_level_tokenizer_does(tmp_path):
    vocabulary, merges = learned(CORPUS)
    pairs = [tuple(merge.split(" ")) for merge in merges]
    reference = tokenizers.ByteLevelBPETokenizer(vocabulary, pairs)
    theirs = written(byte_pairs("gpt2"), tmp_path, "gpt2", starts=False)
    for text in TEXTS:
        assert theirs(text).input_ids == reference.encode(text).ids, text


def test_digits_are_split_as_the_published_tokenizers_split_them(tmp_path):
    vocabulary, merges = learned(["12345 12345 12345 12345"])
    for family, words in (("llama3", ["123", "45"]), ("qwen2", [*"12345"])):
        tokenizer = byte_pairs(family, vocabulary, merges)
        theirs = written(tokenizer, tmp_path / family, family, starts=False)
        found = theirs.tokenize("12345")
        # No token spans two of the words.
        assert "".join(found) == "12345"
        ends, at = set(), 0
        for token in found:
            at += len(token)
            ends.add(at)
        bounds = {len("".join(words[: i + 1])) for i in range(len(words))}
        assert bounds <= ends


def test_special_token_ids_come_from_the_tokenizer():
    tokenizer = gemma()
    preprocessor = types.SimpleNamespace(tokenizer=tokenizer)
    assert token_ids(preprocessor) == {
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    turn = tokenizer.token_to_id("<end_of_turn>")
    assert token_ids(preprocessor, chat=True)["eos_token_id"] == [1, turn]


def test_a_chat_template_is_written_beside_the_tokenizer(tmp_path):
    template = (
        "{{ bos_token }}{% for message in messages %}<start_of_turn>"
        "{{ message['role'] }}\n{{ message['content'] }}<end_of_turn>\n"
        "{% endfor %}"
    )
    theirs = written(gemma(), tmp_path, chat_template=template)
    chat = [{"role": "user", "content": "hello"}]
    text = theirs.apply_chat_template(chat, tokenize=False)
    assert text == "<bos><start_of_turn>user\nhello<end_of_turn>\n"


def written(tokenizer, folder, split="llama3", starts=True, **more):
    folder.mkdir(exist_ok=True)
    preprocessor = types.SimpleNamespace(
        tokenizer=tokenizer, add_start_token=starts
    )
    write_tokenizer(preprocessor, folder, split, 32, **more)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return AutoTokenizer.from_pretrained(folder)

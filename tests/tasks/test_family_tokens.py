"""Texts and chats as tokens, with the tokenizer of every family."""

import numpy as np
import pytest
from family_models import CONFIGS
from family_presets import own_tokenizer
from family_presets import task_class

from keras_grow.evaluation.decoding import detokenize
from keras_grow.evaluation.decoding import end_tokens
from keras_grow.tasks import Example
from keras_grow.tasks import chat_example
from keras_grow.tasks import encode
from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.encoding import tokenize

TEXT = "the quick brown fox"
CHAT = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "the fox"},
]
# The template of a family's instruct models, where one comes with the package.
TEMPLATES = {
    "Gemma": "gemma",
    "Gemma 2": "gemma",
    "Gemma 3": "gemma",
    "Gemma 3n": "gemma",
    "Llama 3": "llama3",
    "Mistral": "mistral",
    "Qwen 2.5": "qwen2.5",
    "Qwen 3": "qwen3",
    "Qwen 3.5": "qwen3",
    "Qwen-MoE": "chatml",
    "Qwen 3.5-MoE": "qwen3",
    "SmolLM 3": "smollm3",
}
pytestmark = pytest.mark.no_backend


@pytest.fixture(scope="module", params=CONFIGS)
def family(request):
    return request.param, own_tokenizer(request.param)


def test_a_text_is_encoded_as_the_preprocessor_of_its_family_does(family):
    name, tokenizer = family
    if name == "PaliGemma":
        return  # It packs an image with every text.
    preprocessor = task_class(name).preprocessor_cls(
        tokenizer, sequence_length=24
    )
    texts = {"prompts": np.array([""]), "responses": np.array([TEXT])}
    try:
        x, y, weight = preprocessor(texts)
    except (TypeError, ValueError, AttributeError):
        x, y, weight = preprocessor([TEXT])
    own = encode([Example("", TEXT)], tokenizer, sequence_length=24)
    np.testing.assert_array_equal(own.x["token_ids"], x["token_ids"])
    np.testing.assert_array_equal(own.x["padding_mask"], x["padding_mask"])
    np.testing.assert_array_equal(own.y, y)
    np.testing.assert_array_equal(own.sample_weight, weight)


def test_tokens_become_the_text_again(family):
    _, tokenizer = family
    ids = tokenize(tokenizer, [TEXT, "", "hello world"])
    assert detokenize(tokenizer, ids) == [TEXT, "", "hello world"]


def test_a_chat_trains_on_the_answer_and_what_ends_it(family):
    name, tokenizer = family
    if name not in TEMPLATES:
        return
    template = ChatTemplate.of(TEMPLATES[name])
    encoded = encode([chat_example(CHAT, template)], tokenizer)
    learned = encoded.y[encoded.sample_weight == 1].tolist()
    *answer, end = learned
    assert end in end_tokens(tokenizer)
    # Of Qwen 3 it begins with an empty thought.
    assert detokenize(tokenizer, [answer])[0].split()[-2:] == ["the", "fox"]

"""Chats and long texts as training arrays: which tokens carry the loss."""

import keras_hub
import numpy as np
import pytest
from tiny_models import tokenizer_proto
from tiny_pieces import trained

from keras_grow.tasks import ChatTemplate
from keras_grow.tasks import Example
from keras_grow.tasks import chat_example
from keras_grow.tasks import encode
from keras_grow.tasks.chat_tokens import chat_tokens
from keras_grow.tasks.chat_tokens import with_marks
from keras_grow.tasks.example import Turn

pytestmark = pytest.mark.no_backend

CHAT = [
    {"role": "system", "content": "a model"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "bonjour le monde"},
    {"role": "user", "content": "the quick brown"},
    {"role": "assistant", "content": "fox"},
]


@pytest.fixture(scope="module")
def tokenizer():
    """A tokenizer that leaves spaces and line ends alone, as Gemma's does."""
    proto = trained(
        sentence_iterator=iter(
            [
                "the quick brown fox jumps over the lazy dog, a model? user",
                "bonjour le monde, hello world",
            ]
        ),
        vocab_size=320,
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\n"],
    )
    return keras_hub.models.Gemma3Tokenizer(
        proto=proto, has_vision_tokens=False
    )


def ids(tokenizer, text):
    return [int(token) for token in tokenizer([text])[0]]


def learned(encoded, row=0):
    return encoded.y[row][encoded.sample_weight[row] == 1].tolist()


def test_every_answer_and_its_end_of_turn_train_and_nothing_else(tokenizer):
    encoded = encode([chat_example(CHAT, "gemma")], tokenizer)
    end = tokenizer.token_to_id("<end_of_turn>")
    answers = [
        *ids(tokenizer, "bonjour le monde"),
        end,
        *ids(tokenizer, "fox"),
        end,
    ]
    assert learned(encoded) == answers
    # The whole row is the text of the chat after the start token.
    text = (
        "<start_of_turn>user\na model\n\nhello<end_of_turn>\n"
        "<start_of_turn>model\nbonjour le monde<end_of_turn>\n"
        "<start_of_turn>user\nthe quick brown<end_of_turn>\n"
        "<start_of_turn>model\nfox<end_of_turn>"
    )
    row = [tokenizer.start_token_id, *ids(tokenizer, text)]
    tokens, mask = encoded.x["token_ids"][0], encoded.x["padding_mask"][0]
    assert tokens[mask].tolist()[: len(row)] == row
    assert mask.sum() == len(row)
    assert encoded.y[0, : len(row) - 1].tolist() == row[1:]
    # No loss on the end token: the template says how a turn ends.
    assert tokenizer.end_token_id not in learned(encoded)


def test_a_start_token_that_a_template_writes_is_not_doubled(tokenizer):
    source = ChatTemplate.of("gemma").source
    literal = source.replace("\n{{- bos_token }}", "<bos>")
    assert literal != source
    ours = encode([chat_example(CHAT, "gemma")], tokenizer)
    theirs = encode([chat_example(CHAT, ChatTemplate(literal))], tokenizer)
    np.testing.assert_array_equal(theirs.x["token_ids"], ours.x["token_ids"])
    np.testing.assert_array_equal(theirs.sample_weight, ours.sample_weight)


def test_a_tokenizer_may_put_a_space_before_texts():
    prefixing = keras_hub.models.Gemma3Tokenizer(proto=tokenizer_proto())
    encoded = encode([chat_example(CHAT, "gemma")], prefixing)
    found = learned(encoded)
    end = prefixing.token_to_id("<end_of_turn>")
    assert [n for n, token in enumerate(found) if token == end] == [
        len(found) - 1 - len(ids(prefixing, "fox")) - 1,
        len(found) - 1,
    ]
    texts = [prefixing.detokenize([found[:-1]])[0]]
    assert texts == ["bonjour le monde<end_of_turn> fox"]


def test_chats_and_pairs_share_a_batch_in_order(tokenizer):
    pair = Example("hello", " world")
    chat = chat_example(CHAT[1:3], "gemma")
    both = encode([pair, chat, pair], tokenizer)
    alone = [encode([e], tokenizer) for e in (pair, chat)]
    assert learned(both, 0) == learned(both, 2) == learned(alone[0])
    assert learned(both, 1) == learned(alone[1])


def test_a_template_without_an_end_of_turn_gets_the_end_token(tokenizer):
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content ~ '?' }}"
        "{% else %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% endif %}{% endfor %}"
    )
    encoded = encode([chat_example(CHAT[1:3], source)], tokenizer)
    answer = ids(tokenizer, "bonjour le monde")
    assert learned(encoded) == [*answer, tokenizer.end_token_id]


def test_the_text_of_the_end_token_is_the_end_token(tokenizer):
    # In the text, SentencePiece takes it for letters.
    assert len(ids(tokenizer, "<eos>")) > 1
    source = (
        "{% for m in messages %}{{ m.content }}{% if m.role != 'user' %}"
        "{{ eos_token }}{% endif %}{% endfor %}"
    )
    template = ChatTemplate(source, eos_token="<eos>")
    encoded = encode([chat_example(CHAT[1:], template)], tokenizer)
    end = tokenizer.end_token_id
    assert learned(encoded) == [
        *ids(tokenizer, "bonjour le monde"),
        end,
        *ids(tokenizer, "fox"),
        end,
    ]


def test_a_template_of_another_family_gives_a_warning(tokenizer):
    with pytest.warns(UserWarning, match=r"<\|im_end\|>.* tokens of this"):
        encode([chat_example(CHAT, "chatml")], tokenizer)


def test_a_token_that_crosses_a_border_is_cut_there():
    def pairs_of_letters(texts):
        return [
            [sum(map(ord, text[i : i + 2])) for i in range(0, len(text), 2)]
            for text in texts
        ]

    (whole,) = pairs_of_letters(["abcdef"])
    even = [Turn("ab", "cd", "ef")]
    odd = [Turn("abc", "d", "ef")]
    rows = chat_tokens([even, odd], pairs_of_letters)
    assert rows[0] == (whole, [False, True, True])
    apart = pairs_of_letters(["abc", "def"])
    assert rows[1] == (apart[0] + apart[1], [False, False, True, True])


def test_markers_are_tokens_wherever_they_occur():
    marked = with_marks(
        lambda texts: [[ord(letter) for letter in text] for text in texts],
        {"</s>": 2, "<s>": 1},
    )
    assert marked(["<s>a</s></s>b", "", "</s"]) == [
        [1, 97, 2, 2, 98],
        [],
        [60, 47, 115],
    ]


def test_a_long_chat_is_cut_before_its_first_answer(tokenizer):
    example = chat_example(CHAT, "gemma")
    whole = encode([example], tokenizer, multiple_of=1)
    length = whole.y.shape[1] - 3
    cut = encode([example], tokenizer, length, too_long="cut_prompt")
    assert cut.cut_prompts == 1
    assert learned(cut) == learned(whole)
    shorter = len(learned(whole)) + 2
    with pytest.raises(ValueError, match="Expected every answer to fit"):
        encode([example], tokenizer, shorter, too_long="cut_prompt")


def test_a_text_in_windows_trains_each_of_its_tokens_once(tokenizer):
    text = "the quick brown fox jumps over the lazy dog " * 9
    texts = [Example("", text), Example("", "hello")]
    tokens = [*ids(tokenizer, text), tokenizer.end_token_id]
    encoded = encode(texts, tokenizer, 16, too_long="window")
    windows = -(-len(tokens) // 16)
    assert len(encoded) == windows + 1
    assert (encoded.cut_texts, encoded.left_out) == (1, 0)
    rows = range(windows)
    assert [t for row in rows for t in learned(encoded, row)] == tokens
    starts = encoded.x["token_ids"][:, 0]
    assert (starts == tokenizer.start_token_id).all()
    assert learned(encoded, windows)[-1] == tokenizer.end_token_id
    # What was read before each token is the text up to there.
    for row in rows:
        np.testing.assert_array_equal(
            encoded.x["token_ids"][row, 1:][encoded.x["padding_mask"][row, 1:]],
            encoded.y[row, :-1][encoded.x["padding_mask"][row, 1:]],
        )


def test_without_a_start_token_a_window_begins_where_the_last_ended(tokenizer):
    class NoStart:
        start_token_id = None
        end_token_id, pad_token_id = 1, 0

        def __call__(self, texts):
            return [[10 + int(c) for c in text] for text in texts]

    text = "0123456789"
    encoded = encode([Example("", text)], NoStart(), 4, too_long="window")
    assert encoded.x["token_ids"].tolist() == [
        [10, 11, 12, 13],
        [14, 15, 16, 17],
        [18, 19, 1, 0],
    ]
    assert learned(encoded, 0) + learned(encoded, 1) + learned(encoded, 2) == [
        *range(11, 20),
        1,
    ]
    (whole,) = encode([Example("", text)], NoStart()).y.tolist()
    assert whole[:10] == [*range(11, 20), 1]


def test_a_long_example_with_a_prompt_is_not_cut_into_windows(tokenizer):
    example = Example("hello", " world" * 50, source="a.jsonl, line 7")
    with pytest.raises(ValueError, match=r"that has a prompt.*a.jsonl, line 7"):
        encode([example], tokenizer, 16, too_long="window")
    chat = chat_example(CHAT, "gemma")
    with pytest.raises(ValueError, match="that has a prompt"):
        encode([chat], tokenizer, 8, too_long="window")

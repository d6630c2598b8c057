"""Examples as training arrays, in the layout of KerasHub's preprocessor."""

import keras_hub
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import tokenizer_proto

from keras_grow.tasks import Example
from keras_grow.tasks import encode

EXAMPLES = [
    Example("the quick", " brown fox"),
    Example("hello", ""),
    Example("", " world é 🙂"),
    Example("a model that grows", " does not forget"),
]


@pytest.fixture(scope="module")
def tokenizer():
    return keras_hub.models.Gemma3Tokenizer(proto=tokenizer_proto())


def test_arrays_equal_those_of_the_gemma3_preprocessor(tokenizer):
    preprocessor = keras_hub.models.Gemma3CausalLMPreprocessor(
        tokenizer, sequence_length=48
    )
    expected_x, expected_y, expected_weight = preprocessor(
        {
            "prompts": np.array([e.prompt for e in EXAMPLES]),
            "responses": np.array([e.response for e in EXAMPLES]),
        }
    )
    x, y, sample_weight = encode(EXAMPLES, tokenizer, sequence_length=48)
    for name in ("token_ids", "padding_mask"):
        np.testing.assert_array_equal(x[name], np.asarray(expected_x[name]))
    np.testing.assert_array_equal(y, np.asarray(expected_y))
    np.testing.assert_array_equal(sample_weight, np.asarray(expected_weight))
    assert x["token_ids"].dtype == y.dtype == np.int32
    assert x["padding_mask"].dtype == np.bool_
    assert sample_weight.dtype == np.float32


def test_only_the_response_and_the_end_token_carry_loss(tokenizer):
    _, y, sample_weight = encode([Example("hello", " world")], tokenizer)
    supervised = y[0][sample_weight[0] == 1].tolist()
    assert supervised == [*tokenizer([" world"])[0], tokenizer.end_token_id]


def test_an_empty_answer_trains_only_the_end_token(tokenizer):
    _, y, sample_weight = encode([Example("hello", "")], tokenizer)
    assert y[sample_weight == 1].tolist() == [tokenizer.end_token_id]


def test_the_length_is_that_of_the_longest_rounded_up(tokenizer):
    longest = max(
        len(tokenizer([e.prompt])[0]) + len(tokenizer([e.response])[0]) + 1
        for e in EXAMPLES
    )
    for multiple in (1, 8, 64):
        _, y, _ = encode(EXAMPLES, tokenizer, multiple_of=multiple)
        assert y.shape[1] == -(-longest // multiple) * multiple


def test_a_long_prompt_is_cut_on_the_left_and_its_answer_is_whole(tokenizer):
    whole = encode(EXAMPLES[3:], tokenizer, multiple_of=1)
    length = len(whole.y[0]) - 3
    cut = encode(EXAMPLES[3:], tokenizer, length, too_long="cut_prompt")
    assert (cut.cut_prompts, cut.left_out) == (1, 0)
    assert cut.x["token_ids"][0, 0] == tokenizer.start_token_id
    np.testing.assert_array_equal(cut.y[0], whole.y[0, 3:])
    assert cut.sample_weight.sum() == whole.sample_weight.sum()


def test_left_out_examples_are_counted(tokenizer):
    length = encode(EXAMPLES[:1], tokenizer, multiple_of=1).y.shape[1]
    encoded = encode(EXAMPLES, tokenizer, length, too_long="leave_out")
    assert len(encoded) + encoded.left_out == len(EXAMPLES)
    assert encoded.left_out == 1


def test_a_long_example_is_refused_by_name(tokenizer):
    example = Example("hello", " world" * 5000, source="a.jsonl, line 7")
    with pytest.raises(ValueError, match=r"a.jsonl, line 7 with \d{5} tokens"):
        encode([example], tokenizer, 128)
    with pytest.raises(ValueError, match="Expected every answer to fit"):
        encode([example], tokenizer, 128, too_long="cut_prompt")
    with pytest.raises(ValueError, match="Expected at least one example"):
        encode([example], tokenizer, 128, too_long="leave_out")


def test_misuse_is_refused(tokenizer):
    with pytest.raises(ValueError, match="at least one example"):
        encode([], tokenizer)
    with pytest.raises(ValueError, match="too_long='cut'"):
        encode(EXAMPLES, tokenizer, too_long="cut")
    with pytest.raises(ValueError, match="sequence_length=0"):
        encode(EXAMPLES, tokenizer, 0)


def test_the_arrays_train_a_model():
    lm = tiny_lm(tokenizer=True)
    lm.preprocessor, tokenizer = None, lm.preprocessor.tokenizer
    x, y, sample_weight = encode(EXAMPLES, tokenizer)
    history = lm.fit(
        x, y, sample_weight=sample_weight, shuffle=False, verbose=0
    )
    assert np.isfinite(history.history["loss"][0])

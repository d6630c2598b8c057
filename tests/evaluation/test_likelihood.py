"""Multiple choice, the last word and perplexity, from log-likelihoods."""

import json
import math

import numpy as np
import pytest
from tiny_models import tiny_lm

from keras_grow.evaluation import Scorer
from keras_grow.evaluation import evaluate
from keras_grow.evaluation import last_word
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import multiple_choice
from keras_grow.evaluation import perplexity
from keras_grow.evaluation.tokens import bucketed
from keras_grow.evaluation.tokens import windows
from keras_grow.tasks import Example
from keras_grow.tasks import prompts

TEXT = "the quick brown fox jumps over the lazy dog é"
QUESTIONS = [
    Example("hello", " a", choices=(" a", " lazy dog over"), gold=0),
    Example("the fox", " éé", choices=(" x", " éé", ""), gold=1),
    Example("quick", " dog", choices=(" dog", " dog"), gold=0),
]


@pytest.fixture(scope="module")
def scorer():
    return Scorer(
        tiny_lm(tokenizer=True, num_layers=2), batch_size=4, max_length=64
    )


def test_choices_are_compared_plain_by_character_and_by_byte(scorer):
    result = multiple_choice(scorer, QUESTIONS)
    right = {"plain": 0, "characters": 0, "bytes": 0}
    for row, example in enumerate(QUESTIONS):
        count = len(example.choices)
        values = loglikelihood(
            scorer, [example.prompt] * count, example.choices
        ).logprob
        np.testing.assert_allclose(result.logprobs[row], values, atol=1e-5)
        assert result.predictions[row] == values.argmax()
        texts = [choice.lstrip() for choice in example.choices]
        lengths = {
            "plain": [1] * count,
            "characters": [max(1, len(text)) for text in texts],
            "bytes": [max(1, len(text.encode())) for text in texts],
        }
        for name, length in lengths.items():
            right[name] += int((values / length).argmax() == example.gold)
    assert result.accuracy == result.score == right["plain"] / 3
    assert result.accuracy_characters == right["characters"] / 3
    assert result.accuracy_bytes == right["bytes"] / 3
    assert result.standard_error == pytest.approx(
        np.std(np.arange(3) < right["plain"], ddof=1) / math.sqrt(3)
    )


def test_a_model_of_nan_does_not_score_at_chance():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    lm.backbone.layer_norm.scale.assign([np.nan] * 16)
    scorer = Scorer(lm, batch_size=4, max_length=64)
    assert math.isnan(multiple_choice(scorer, QUESTIONS).score)


def test_winogrande_scores_the_rest_after_each_filling(scorer):
    example = prompts.winogrande("the _ jumps over the dog", "fox", "lazy", 1)
    result = multiple_choice(scorer, [example])
    expected = loglikelihood(
        scorer, ["the fox", "the lazy"], [" jumps over the dog"] * 2
    ).logprob
    np.testing.assert_allclose(result.logprobs[0], expected, atol=1e-5)


def test_the_last_word_is_right_if_it_is_greedy(scorer):
    examples = [Example("hello", " world"), Example("hello", "")]
    result = last_word(scorer, examples)
    scored = loglikelihood(scorer, ["hello"] * 2, [" world", ""])
    assert result.is_right == tuple(scored.is_greedy.tolist())
    assert result.word_perplexity == pytest.approx(
        math.exp(-scored.logprob.mean())
    )


def test_perplexity_of_a_short_text_is_that_of_its_continuation(scorer):
    result = perplexity(scorer, TEXT)
    scored = loglikelihood(scorer, [""], [TEXT])
    loss = -scored.logprob[0]
    assert result.tokens == scored.n_tokens[0]
    assert result.words == 10
    assert result.bytes == len(TEXT.encode()) == len(TEXT) + 1
    assert result.score == pytest.approx(math.exp(loss / result.tokens))
    assert result.word_perplexity == pytest.approx(math.exp(loss / 10))
    assert result.bits_per_byte == pytest.approx(
        math.log2(result.byte_perplexity)
    )


@pytest.mark.no_backend
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_windows_score_each_token_once_after_the_context_stated(stride):
    tokens = list(range(10, 33))
    pairs = list(windows(tokens, 2, max_length=8, stride=stride))
    assert [t for _, scored in pairs for t in scored] == tokens
    position = 0
    for context, scored in pairs:
        assert len(context) + len(scored) - 1 <= 8
        first = max(0, position - (8 - stride))
        assert context == [2, *tokens[first:position]]
        position += len(scored)


def test_overlapping_windows_give_each_token_more_context():
    lm = tiny_lm(tokenizer=True, num_layers=2)
    tokens = list(map(int, lm.preprocessor.tokenizer([TEXT])[0]))
    scorer = Scorer(lm, max_length=8)
    expected = scorer.score_tokens(list(windows(tokens, 2, 8, 3))).logprob.sum()
    result = perplexity(scorer, TEXT, stride=3)
    assert result.negative_log_likelihood == pytest.approx(-expected)
    assert result.tokens == len(tokens)
    apart = perplexity(scorer, TEXT)
    assert apart.negative_log_likelihood != pytest.approx(-expected)


def test_several_texts_add_up(scorer):
    both = perplexity(scorer, [TEXT, "hello world"])
    one, other = (perplexity(scorer, text) for text in (TEXT, "hello world"))
    assert both.tokens == one.tokens + other.tokens
    assert both.negative_log_likelihood == pytest.approx(
        one.negative_log_likelihood + other.negative_log_likelihood, rel=1e-5
    )


def test_results_are_strict_json_with_examples_on_request(scorer):
    result = multiple_choice(scorer, QUESTIONS[:1])
    short = result.to_dict()
    json.dumps(short, allow_nan=False)
    assert short["standard_error"] is None
    assert "predictions" not in short
    long = result.to_dict(examples=True)
    assert long["predictions"] == list(result.predictions)
    json.dumps(long, allow_nan=False)


def test_a_tasks_metric_is_chosen_by_name(scorer):
    chosen = evaluate(scorer, QUESTIONS, "multiple_choice")
    assert chosen == multiple_choice(scorer, QUESTIONS)
    with pytest.raises(ValueError, match="metric='accuracy'"):
        evaluate(scorer, QUESTIONS, "accuracy")


@pytest.mark.no_backend
def test_rows_of_many_lengths_are_read_in_few_shapes(scorer, monkeypatch):
    scorer = Scorer(scorer.lm, batch_size=4)
    read, shapes = scorer._hidden_states, []

    def traced(token_ids, padding_mask):
        shapes.append(token_ids.shape)
        return read(token_ids, padding_mask)

    monkeypatch.setattr(scorer, "_hidden_states", traced)
    pairs = [([2] * length, [5, 6]) for length in range(1, 44)]
    together = scorer.score_tokens(pairs)
    # Where the functions are compiled, they are traced once for each shape.
    assert shapes == [(4, 48)]
    alone = scorer.score_tokens(pairs[:4])
    assert shapes == [(4, 48)]
    np.testing.assert_allclose(together.logprob[:4], alone.logprob, rtol=1e-5)


@pytest.mark.no_backend
def test_sizes_have_four_steps_per_doubling():
    sizes = {bucketed(length) for length in range(1, 1025)}
    assert len(sizes) == 20
    assert all(bucketed(n) >= n for n in range(1, 1025))
    assert all(bucketed(n) <= 1.25 * n for n in range(64, 1025))


def test_misuse_is_refused(scorer):
    with pytest.raises(ValueError, match="at least one example"):
        multiple_choice(scorer, [])
    with pytest.raises(ValueError, match="none in example 0"):
        multiple_choice(scorer, [Example("x", "y")])
    with pytest.raises(ValueError, match="stride=65"):
        perplexity(scorer, TEXT, stride=65)
    with pytest.raises(ValueError, match="text of at least one token"):
        perplexity(scorer, "")

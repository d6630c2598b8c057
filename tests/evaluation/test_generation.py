"""Greedy answers, against decoding one row without a cache."""

import keras
import numpy as np
import pytest
import sacrebleu as sacrebleu_package
from tiny_models import tiny_lm

from keras_grow.evaluation import Scorer
from keras_grow.evaluation import evaluate
from keras_grow.evaluation import exact_match
from keras_grow.evaluation import generate
from keras_grow.evaluation import sacrebleu
from keras_grow.evaluation.generation import final_number
from keras_grow.tasks import Example
from keras_grow.tasks.encoding import tokenize

PROMPTS = [
    "hello",
    "the quick brown fox jumps over the lazy dog",
    "",
    "a model that grows does not",
    "bonjour le monde",
]


def step_by_step(lm, prompts, count):
    """Greedy decoding by the whole forward pass at every step."""
    whole = keras.Model(lm.inputs, lm.outputs)
    tokenizer = lm.preprocessor.tokenizer
    ends = {tokenizer.end_token_id, tokenizer.token_to_id("<end_of_turn>")}
    starts = [
        [tokenizer.start_token_id, *map(int, tokenizer([prompt])[0])]
        for prompt in prompts
    ]
    rows = [list(start) for start in starts]
    for _ in range(count):
        length = 48
        token_ids = [row + [0] * (length - len(row)) for row in rows]
        mask = [np.arange(length) < len(row) for row in rows]
        logits = whole.predict_on_batch(
            {"token_ids": np.array(token_ids), "padding_mask": np.array(mask)}
        )
        for row, values in zip(rows, logits, strict=True):
            row.append(int(values[len(row) - 1].argmax()))
    texts = []
    for row, start in zip(rows, starts, strict=True):
        new = row[len(start) :]
        end = next((i for i, token in enumerate(new) if token in ends), None)
        texts.append(tokenizer.detokenize([new[:end]])[0] if new[:end] else "")
    return texts


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(tokenizer=True, num_layers=2)


@pytest.fixture(scope="module")
def scorer(lm):
    return Scorer(lm, batch_size=3)


def test_prompts_of_unequal_length_decode_in_a_batch_as_they_do_alone(
    lm, scorer
):
    written = generate(scorer, PROMPTS, 5, stop=())
    assert written == step_by_step(lm, PROMPTS, 5)


def test_an_answer_ends_before_the_first_stop_text(scorer):
    (whole,) = generate(scorer, PROMPTS[:1], 7, stop=())
    stop = whole[3:5]
    (cut,) = generate(scorer, PROMPTS[:1], 7, stop=[stop, "never"])
    assert cut == whole[: whole.index(stop)]


def test_the_models_sampler_and_generate_function_are_unchanged(lm, scorer):
    lm.compile(sampler="top_k")
    lm.make_generate_function()
    kept = lm.sampler, lm.generate_function
    generate(scorer, PROMPTS[:1], 2)
    assert (lm.sampler, lm.generate_function) == kept


def test_a_long_prompt_is_cut_on_the_left_with_a_warning(lm):
    scorer = Scorer(lm, max_length=12)
    with pytest.warns(UserWarning, match="1 of 1 prompts were cut"):
        assert len(generate(scorer, [PROMPTS[1]], 4)) == 1
    with pytest.warns(UserWarning, match="cut on their left"):
        (kept,) = scorer.decoder._encode([PROMPTS[1]], 8)
    tokens = tokenize(scorer.tokenizer, [PROMPTS[1]])[0]
    assert kept == [scorer.tokenizer.start_token_id, *tokens[-7:]]


def test_exact_match_strips_white_space_and_changes_nothing_else(scorer):
    answer = generate(scorer, ["hello"], 6)[0]
    examples = [
        Example("hello", f"  {answer} "),
        Example("hello", answer.upper() + "x"),
    ]
    result = exact_match(scorer, examples, max_new_tokens=6)
    assert result.accuracy == result.score == 0.5
    assert result.normalization == "str.strip"
    assert result.predictions == (answer, answer)
    with pytest.raises(ValueError, match="to hold a stop text"):
        exact_match(scorer, [Example("x", " two\nlines")])
    with pytest.raises(ValueError, match="to hold a stop text"):
        sacrebleu(scorer, [Example("x", " two\nlines")])
    with pytest.raises(ValueError, match="at least one example"):
        exact_match(scorer, [])


@pytest.mark.parametrize("metric", ["exact_match", "sacrebleu"])
def test_answers_end_at_a_line_break_unless_a_response_has_one(
    scorer, metric, monkeypatch
):
    stops = []
    decode = scorer.decoder.generate

    def noted(prompts, most, stop):
        stops.append(tuple(stop))
        return decode(prompts, most, stop)

    monkeypatch.setattr(scorer.decoder, "generate", noted)
    one, two = Example("hello", " one line\n"), Example("hello", "two\nlines")
    evaluate(scorer, [one], metric)
    result = evaluate(scorer, [one, two], metric)
    assert stops == [("\n",), ()]
    assert result.n == 2


def test_bleu_is_that_of_sacrebleu_and_has_its_signature(scorer):
    answers = generate(scorer, PROMPTS[3:], 8)
    examples = [
        Example(PROMPTS[3], " " + answers[0]),
        Example(PROMPTS[4], " brown fox"),
    ]
    result = sacrebleu(scorer, examples, max_new_tokens=8)
    expected = sacrebleu_package.corpus_bleu(
        [answer.strip() for answer in answers],
        [[example.response.strip() for example in examples]],
    )
    assert result.score == pytest.approx(expected.score)
    assert "tok:13a" in result.signature
    assert f"version:{sacrebleu_package.__version__}" in result.signature
    assert result.to_dict()["signature"] == result.signature


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So 3 + 4 = 7. The answer is 1,234.50 dollars.", "1234.5"),
        ("-5", "-5"),
        ("100", "100"),
        ("none", ""),
    ],
)
def test_the_final_number_of_a_solution(text, number):
    assert final_number(text) == number


def test_a_reference_that_normalizes_to_nothing_is_refused(scorer):
    """Every answer without a number would match it."""
    with pytest.raises(ValueError, match="'four', of which `normalize`"):
        exact_match(scorer, [Example("2+2=", "four")], normalize=final_number)
    empty = exact_match(scorer, [Example("hello", "")], max_new_tokens=1)
    assert empty.references == ("",)


def test_a_single_string_is_not_taken_for_a_list_of_characters(scorer):
    with pytest.raises(TypeError, match="`stop` to be a list"):
        exact_match(scorer, [Example("a", " b")], stop="###")
    with pytest.raises(TypeError, match="`stop` to be a list"):
        generate(scorer, PROMPTS, 2, stop="###")
    with pytest.raises(TypeError, match="`prompts` to be a list"):
        generate(scorer, "hello", 2)
    with pytest.raises(TypeError, match="`contexts` to be a list"):
        scorer.loglikelihood("ab", "cd")


def test_more_new_tokens_than_the_length_are_refused(lm):
    with pytest.raises(ValueError, match="max_new_tokens=0"):
        generate(lm, PROMPTS, 0)
    with pytest.raises(ValueError, match="max_new_tokens=8"):
        generate(Scorer(lm, max_length=8), PROMPTS, 8)

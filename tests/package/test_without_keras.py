"""Plans, folders and results of comparisons need no Keras."""

import argparse
import subprocess
import sys

import pytest

from keras_grow.command import parser
from keras_grow.command.options import add_options
from keras_grow.comparison import KINDS
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import metric_of
from keras_grow.comparison.events import Event
from keras_grow.comparison.events import Updated
from keras_grow.comparison.events import from_json
from keras_grow.comparison.metrics import METRICS
from keras_grow.comparison.metrics import interval_of
from keras_grow.comparison.prepare import PREPARATIONS
from keras_grow.evaluation.results import MeanLoss
from keras_grow.evaluation.results import Result
from keras_grow.tasks.example import METRICS as OF_TASKS

pytestmark = pytest.mark.no_backend
LIGHT = (
    "events",
    "kinds",
    "layout",
    "method",
    "metrics",
    "plan",
    "results",
    "share_points",
    "share_rows",
)


def test_method_plan_layout_and_results_need_no_keras():
    imports = "; ".join(f"import keras_grow.comparison.{n}" for n in LIGHT)
    code = f"""
import sys
{imports}
from keras_grow.comparison import Method, Plan, read_results
Plan("m", "t", (Method.parse("lora:rank=4"),)).to_json()
heavy = ("keras", "keras_hub", "jax", "tensorflow", "torch", "matplotlib")
print([name for name in heavy if name in sys.modules])
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_kind_has_a_preparation_and_its_settings_are_fields():
    assert PREPARATIONS.keys() == KINDS.keys()
    fields = set(Method.__dataclass_fields__)
    for kind in KINDS.values():
        assert set(kind.settings) <= fields
        assert kind.words
    growing = {name for name, kind in KINDS.items() if kind.grows_blocks}
    assert set(KINDS) - growing == {"sft", "sft_up", "lora"}


def test_every_metric_of_a_task_is_in_the_table():
    assert set(OF_TASKS) | {"loss", "perplexity"} == set(METRICS)
    lower = {name for name, m in METRICS.items() if m.better == "lower"}
    assert lower == {"loss", "perplexity"}
    assert metric_of("of_tomorrow").words == "of tomorrow"


def test_a_share_has_wilsons_interval_and_a_loss_a_bootstrap():
    # Of 10 in 100, by R's binom.confint(10, 100, method="wilson").
    low, high = interval_of(Result("exact_match", 0.1, 100))
    assert (low, high) == pytest.approx((0.0552, 0.1744), abs=2e-4)
    losses = MeanLoss("loss", 2.0, 200, (1.0, 3.0) * 100, (1,) * 200)
    low, high = interval_of(losses)
    # Plus and minus 1.96 standard errors of a mean over 200.
    assert (low, high) == pytest.approx((1.861, 2.139), abs=0.02)
    assert interval_of(Result("sacrebleu", 20.0, 100)) is None
    assert interval_of(Result("exact_match", 1.0, 1)) is None


def test_events_cross_processes_as_lines():
    kinds = Event.__subclasses__()
    assert len(kinds) == 9
    event = Updated(3, 1.5, 0.7)
    assert from_json(event.to_json()) == event
    for text in ("", "5", "[]", '{"event": "x"}', '{"event": "Updated"}'):
        with pytest.raises(ValueError, match="an event of a run"):
            from_json(text)


def test_the_options_of_compare_are_the_fields_of_a_plan():
    own = argparse.ArgumentParser()
    add_options(own, Plan, ("methods",))
    words = ["--model", "m", "--task", "t"]
    found = vars(own.parse_args(words))
    plan = Plan("m", "t", (Method("sft", "sft", 1e-3),))
    assert found.keys() | {"methods"} == set(Plan.__dataclass_fields__)
    for name, value in found.items():
        assert getattr(plan, name) == value
    options = parser().parse_args(
        [
            *("compare", "x", *words, "--methods", "lora:anchor=1"),
            *("--anchor-text", "base", "--seeds", "1", "2", "--split", "0.2"),
            *("--no-keep-weights", "--too-long", "window", "--shares"),
        ]
    )
    assert options.anchor_text == "base"
    assert options.methods[0].anchor == 1.0
    assert (options.seeds, options.split) == ([1, 2], 0.2)
    assert (options.keep_weights, options.shares) == (False, [])
    assert options.too_long == "window"

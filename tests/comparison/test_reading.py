"""A comparison checks the files it reads; errors name file and field."""

import json
import math

import pytest

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import read_results
from keras_grow.comparison.results import read_done
from keras_grow.comparison.sweep import losses
from keras_grow.comparison.sweep import rate_file

pytestmark = pytest.mark.no_backend

PLAN = Plan(
    "model",
    "task",
    (
        Method("lora", "lora", (1e-4, 1e-3), rank=2),
        Method("g", "g_freeze", 1e-3, layers=(0, 2), anchor=1.0),
    ),
    retention=("winogrande",),
    anchor_text="base",
    seeds=(0, 1),
)
NESTED = "[" * 10**5
HUGE = "1" * 5_000
ROW = {
    "method": "g",
    "seed": 0,
    "step": 4,
    "scores": {"new/loss": 1.5},
    "training_loss": 1.25,
    "seconds_a_step": None,
    "details": {"new/loss": {"metric": "loss", "score": 1.5, "n": 3}},
}
DONE = {
    "learning_rate": 1e-3,
    "trainable_parameters": 7,
    "seconds": 1.5,
    "peak_bytes": 9,
}


def without(values, name):
    return {k: v for k, v in values.items() if k != name}


def with_method(**changes):
    values = json.loads(PLAN.to_json())
    values["methods"][1].update(changes)
    return {"methods": values["methods"]}


def test_a_plan_is_read_as_it_was_written(tmp_path):
    (tmp_path / "plan.json").write_text(PLAN.to_json())
    assert Plan.load(tmp_path) == PLAN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "unknown fields.*more"),
        ({"model": None}, "model=None"),
        ({"methods": None}, "methods=None"),
        ({"methods": []}, "at least one method"),
        ({"methods": [3]}, r"`methods\[0\]` to be an object.*: 3"),
        ({"methods": [{}]}, "missing fields.*'kind'"),
        (with_method(x=1), r"`methods\[1\]`.*unknown fields.*x"),
        (with_method(kind=[]), r"methods\[1\]\.kind=\[\]"),
        (with_method(kind="x"), "kind='x'"),
        (with_method(learning_rate=math.nan), "learning_rate=nan"),
        (with_method(learning_rate="1"), "learning_rate='1'"),
        (with_method(learning_rate=[]), "to be positive"),
        (with_method(layers="0"), "layers='0'"),
        (with_method(layers=[None]), "layers=None"),
        (with_method(layers=10**10), "layers=10000000000"),
        (with_method(factor=2.0), r"factor=2\.0"),
        (with_method(anchor=math.inf), "anchor=inf"),
        (with_method(decay_to_start=-1.0), r"decay_to_start=-1\.0"),
        ({"retention": "winogrande"}, "retention='winogrande'"),
        ({"retention": [1]}, r"retention\[0\]=1"),
        ({"updates": 0}, "updates=0"),
        ({"updates": True}, "updates=True"),
        ({"updates": 10**18}, "updates=1000000000000000000"),
        ({"evaluations": 10**9}, "evaluations=1000000000"),
        ({"sequence_length": 1.5}, r"sequence_length=1\.5"),
        ({"too_long": "x"}, "too_long='x'"),
        ({"seeds": None}, "seeds=None"),
        ({"seeds": [0, -1]}, r"seeds\[1\]=-1"),
        ({"seeds": ["0"]}, r"seeds\[0\]='0'"),
        ({"dtype": 5}, "dtype=5"),
        ({"keep_weights": 1}, "keep_weights=1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_plan_is_refused(tmp_path, change, message):
    values = {**json.loads(PLAN.to_json()), **change}
    (tmp_path / "plan.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"{message}.*In the file.*plan.json"):
        Plan.load(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", NESTED, HUGE, "\udcff", "[" + "1," * 2**20]
)
def test_json_that_is_not_an_object_is_refused_in_every_file(tmp_path, text):
    data = text.encode("utf-8", "surrogateescape")
    rates = Method("g", "g_freeze", (1e-3, 1e-2))
    (tmp_path / "g-seed0").mkdir()
    for path, read in [
        (tmp_path / "plan.json", lambda path: Plan.load(path.parent)),
        (tmp_path / "done.json", read_done),
        (
            rate_file(tmp_path, rates, 0, 1e-3),
            lambda path: losses(tmp_path, rates, 0),
        ),
    ]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"Expected.*file.*{path.name}"):
            read(path)


def test_a_finished_run_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "done.json"
    path.write_text(json.dumps(DONE))
    assert read_done(path) == DONE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**DONE, "x": 1}, "unknown fields.*x"),
        (without(DONE, "seconds"), "missing fields.*seconds"),
        ({**DONE, "learning_rate": None}, "learning_rate=None"),
        ({**DONE, "seconds": math.nan}, "seconds=nan"),
        ({**DONE, "trainable_parameters": 1.5}, r"parameters=1\.5"),
        ({**DONE, "peak_bytes": -1}, "peak_bytes=-1"),
        ({**DONE, "seconds": 10**400}, "`seconds` to be a finite number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_finished_run_is_refused(tmp_path, values, message):
    path = tmp_path / "done.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"{message}.*In the file.*done.json"):
        read_done(path)


def test_the_losses_of_rates_are_read_or_refused(tmp_path):
    method = Method("g", "g_freeze", (1e-3, 1e-2))
    path = rate_file(tmp_path, method, 0, 1e-3)
    path.parent.mkdir()
    for loss in (1.5, math.inf):
        path.write_text(json.dumps({"held_out_loss": loss}))
        assert losses(tmp_path, method, 0) == {1e-3: loss}
    for values, message in [
        ({"held_out_loss": math.nan}, "held_out_loss=nan"),
        ({"held_out_loss": "1"}, "held_out_loss='1'"),
        ({"held_out_loss": -math.inf}, "held_out_loss=-inf"),
        ({"held_out_loss": 1.0, "x": 1}, "unknown fields"),
        ({}, "missing fields"),
    ]:
        path.write_text(json.dumps(values))
        with pytest.raises(ValueError, match=f"{message}.*rate-0.001.json"):
            losses(tmp_path, method, 0)


def test_rows_are_read_and_half_a_line_is_skipped(tmp_path):
    unknown = {**ROW, "seed": 1, "scores": {"new/loss": None}}
    lines = [json.dumps(ROW)[:40], json.dumps(ROW), json.dumps(unknown), ""]
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    first, second = read_results(tmp_path)
    assert first == ROW
    assert math.isnan(second["scores"]["new/loss"])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (3, "a row to be an object.*: 3"),
        ([], "a row to be an object"),
        ({**ROW, "x": 1}, "unknown fields.*x"),
        (without(ROW, "scores"), "missing fields.*scores"),
        ({**ROW, "method": 3}, "method=3"),
        ({**ROW, "method": []}, r"method=\[\]"),
        ({**ROW, "seed": None}, "seed=None"),
        ({**ROW, "step": 1.5}, r"step=1\.5"),
        ({**ROW, "scores": 3}, "scores=3"),
        ({**ROW, "scores": {}}, "of the same names"),
        ({**ROW, "scores": {"new/loss": "1"}}, "scores.new/loss='1'"),
        ({**ROW, "scores": {"new/loss": math.inf}}, "new/loss=inf"),
        ({**ROW, "training_loss": math.nan}, "training_loss=nan"),
        ({**ROW, "details": {"new/loss": 3}}, "`details.new/loss`.*: 3"),
        (
            {**ROW, "details": {"new/loss": {"metric": "loss", "n": -1}}},
            "details.new/loss.n=-1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_malformed_row_is_refused(tmp_path, row, message):
    text = f"{json.dumps(ROW)}\n{json.dumps(row)}\n"
    (tmp_path / "results.jsonl").write_text(text)
    with pytest.raises(
        ValueError, match=f"{message}.*In line 2.*results.jsonl"
    ):
        read_results(tmp_path)


@pytest.mark.parametrize("line", ["[" * 10**5, "1" * 5_000, "\udcff"])
def test_a_line_that_cannot_be_parsed_is_not_taken_for_half_a_line(
    tmp_path, line
):
    data = line.encode("utf-8", "surrogateescape")
    (tmp_path / "results.jsonl").write_bytes(data)
    with pytest.raises(ValueError, match=r"In line 1.*results\.jsonl"):
        read_results(tmp_path)

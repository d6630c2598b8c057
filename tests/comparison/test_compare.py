"""A comparison runs, resumes after it was killed, and reports."""

import dataclasses
import fcntl
import json
import math
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm

from keras_grow import load_causal_lm
from keras_grow.command import main
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import load_run
from keras_grow.comparison import read_results
from keras_grow.comparison import write_report
from keras_grow.comparison.comparing import _begin
from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Scored
from keras_grow.comparison.events import Updated
from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.prepare import PREPARATIONS
from keras_grow.comparison.results import append_result
from keras_grow.comparison.results import read_done
from keras_grow.comparison.run import run_method
from keras_grow.comparison.scores import Scores
from keras_grow.evaluation.results import Result
from keras_grow.files import only_one
from keras_grow.tasks import load_task
from keras_grow.training.lengths import example_order

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A tiny model on disk, a task and a text."""
    folder = tmp_path_factory.mktemp("sources")
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(
        str(folder / "model")
    )
    for name, count in (("train", 12), ("validation", 4)):
        rows = [
            {"prompt": f"{WORDS[i % 9]} a", "response": f" {WORDS[i % 7]}"}
            for i in range(count)
        ]
        text = "\n".join(map(json.dumps, rows))
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    (folder / "old.txt").write_text("the lazy dog jumps over a fox", "utf-8")
    return folder


def plan(sources, *methods, **changes):
    return dataclasses.replace(
        Plan(
            model=str(sources / "model"),
            task=f"{sources}/train.jsonl,{sources}/validation.jsonl",
            methods=methods,
            retention=(str(sources / "old.txt"),),
            updates=6,
            batch_size=4,
            evaluations=3,
            shares=(),
        ),
        **changes,
    )


GROWN = Method("grown", "g_freeze", 1e-2, warmup=2, layers=1)


def is_free(lock):
    """Whether no process holds this lock."""
    try:
        with only_one(lock):
            return True
    except BlockingIOError:
        return False


def test_a_killed_comparison_resumes_to_the_same_curve(
    sources, tmp_path, runs_in_this_process
):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    compare(plan(sources, GROWN), unbroken, say=lambda line: None)
    code = f"""
from keras_grow.comparison import Plan, compare
from pathlib import Path
compare(Plan.from_json(Path({str(unbroken / "plan.json")!r}).read_text()),
        {str(broken)!r})
"""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    checkpoint = broken / "grown-seed0" / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    # The run is a process of its own, which has to end with this one.
    process.kill()
    process.wait()
    while not is_free(broken / "grown-seed0" / "lock"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not (broken / "report.md").exists()
    said: list[str] = []
    report = compare(plan(sources, GROWN), broken, say=said.append)
    backend = keras.config.backend()
    assert said[0] == f"Keras on {backend}; writing to {broken}/"
    assert any("resumes after update" in line for line in said)
    assert report.exists()
    assert (broken / "curves.png").stat().st_size > 10_000
    curves = [
        [(row["step"], row["scores"]) for row in read_results(folder)]
        for folder in (unbroken, broken)
    ]
    assert [step for step, _ in curves[0]] == [0, 2, 4, 6]
    assert curves[0][0][1] != curves[0][-1][1]
    for (step, expected), (same, scores) in zip(*curves, strict=True):
        assert step == same
        assert scores == pytest.approx(expected, rel=1e-4)
    lm = load_run(broken, GROWN)
    base = load_run(broken)
    batch = {
        "token_ids": np.ones((1, 4), "int32"),
        "padding_mask": np.ones((1, 4), bool),
    }
    difference = ops.convert_to_numpy(lm(batch)) - ops.convert_to_numpy(
        base(batch)
    )
    assert np.abs(difference).max() > 1e-3
    again: list[str] = []
    compare(plan(sources, GROWN), broken, say=again.append)
    assert "grown-seed0: done before" in again


def test_another_plan_in_the_same_folder_is_refused(sources, tmp_path):
    first = plan(sources, GROWN)
    (tmp_path / "plan.json").write_text(first.to_json(), "utf-8")
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(ValueError, match="this same comparison"):
        compare(plan(sources, GROWN, updates=7), tmp_path)
    with pytest.raises(ValueError, match="this same comparison"):
        compare(plan(sources, Method("sft", "sft", 1e-3)), tmp_path)


def test_a_plan_may_be_corrected_before_anything_has_run(sources, tmp_path):
    (tmp_path / "plan.json").write_text(plan(sources, GROWN).to_json(), "utf-8")
    right = plan(sources, GROWN, updates=7)
    _begin(right, tmp_path)
    assert Plan.load(tmp_path) == right


@pytest.mark.parametrize(
    "name",
    ["train.jsonl", "old, new.txt", "kept.jsonl", "model/config.json"],
)
def test_a_comparison_whose_files_changed_is_refused(sources, tmp_path, name):
    for file in ("train.jsonl", "validation.jsonl"):
        shutil.copy(sources / file, tmp_path)
    shutil.copy(sources / "old.txt", tmp_path / "old, new.txt")
    shutil.copy(sources / "train.jsonl", tmp_path / "kept.jsonl")
    shutil.copytree(sources / "model", tmp_path / "model")
    mine = dataclasses.replace(
        plan(sources, GROWN),
        model=str(tmp_path / "model"),
        task=f"{tmp_path}/train.jsonl,{tmp_path}/validation.jsonl",
        retention=(
            f"{tmp_path}/old, new.txt",
            f"perplexity:{tmp_path}/train.jsonl, {tmp_path}/kept.jsonl",
        ),
    )
    folder = tmp_path / "runs"
    _begin(mine, folder)
    (folder / "results.jsonl").touch()
    _begin(mine, folder)
    with (tmp_path / name).open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match=f"{name}', which has changed since"):
        _begin(mine, folder)
    with pytest.raises(ValueError, match="changed since"):
        run_method(folder, GROWN, 0)


def test_a_task_without_rows_to_score_is_refused_before_training(sources):
    alone = plan(sources, GROWN, task=f"{sources}/train.jsonl")
    with pytest.raises(ValueError, match="12 rows to train on, 0 to validate"):
        alone.load_task()


def test_a_single_file_is_an_old_skill(sources, tmp_path):
    texts = tmp_path / "texts.jsonl"
    text = "the lazy dog jumps over a fox"
    texts.write_text(json.dumps({"text": text}), "utf-8")
    rows, old = sources / "validation.jsonl", sources / "old.txt"
    names = (str(rows), f"perplexity:{texts}", str(old))
    mine = plan(sources, GROWN, retention=names)
    lm = load_causal_lm(mine.model)
    scores = Scores(lm, mine, mine.load_task()).run()
    assert scores[f"old/{rows}"].n == 4
    assert scores[f"old/{texts}"].score == scores["old/old"].score


@pytest.mark.no_backend
def test_half_a_row_and_nan_do_not_corrupt_the_results(tmp_path):
    (tmp_path / "results.jsonl").write_bytes(b'{"method": "gro')
    found = {"new/loss": Result("loss", math.nan, 2)}
    append_result(tmp_path, GROWN, 0, 0, found, {"training_loss": math.inf})
    append_result(tmp_path, GROWN, 0, 0, found, {"training_loss": math.inf})
    text = (tmp_path / "results.jsonl").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    (row,) = read_results(str(tmp_path))
    assert math.isnan(row["scores"]["new/loss"])
    assert row["training_loss"] is None


def test_a_run_that_is_asked_to_stop_is_scored_saved_and_reported(
    sources, tmp_path
):
    whole = plan(sources, GROWN, updates=40, evaluations=2, generated=0)
    (tmp_path / "plan.json").write_text(whole.to_json(), "utf-8")
    events = []

    def asked_during_the_first_score_after_training():
        rows = [e for e in events if isinstance(e, Scored)]
        return len(rows) == 2

    run_method(
        tmp_path,
        GROWN,
        0,
        on_event=events.append,
        should_stop=asked_during_the_first_score_after_training,
    )
    assert [row["step"] for row in read_results(tmp_path)] == [0, 20]
    assert events[-1] == Ended(20, stopped=True)
    done = read_done(tmp_path / "grown-seed0" / "done.json")
    assert done["stopped_after"] == 20
    assert load_run(tmp_path, GROWN) is not None
    report = write_report(tmp_path).read_text("utf-8")
    assert "\n| grown | " in report
    parts = [e.part for e in events if isinstance(e, Begun)]
    assert list(dict.fromkeys(parts)) == ["load", "measure", "train", "save"]
    updates = [e for e in events if isinstance(e, Updated)]
    assert updates[-1].step == 20
    mean = np.average(
        [e.loss for e in updates],
        weights=np.diff([0, *(e.step for e in updates)]),
    )
    assert mean == pytest.approx(read_results(tmp_path)[1]["training_loss"])


def test_a_run_that_is_asked_to_stop_before_it_began_saves_nothing(
    sources, tmp_path
):
    (tmp_path / "plan.json").write_text(plan(sources, GROWN).to_json())
    events = []
    run_method(
        *(tmp_path, GROWN, 0),
        on_event=events.append,
        should_stop=lambda: True,
    )
    assert events[-1] == Ended(0, stopped=True)
    assert not (tmp_path / "grown-seed0" / "done.json").exists()
    assert not (tmp_path / "results.jsonl").exists()


def test_names_that_would_share_a_folder_or_a_score_are_refused(sources):
    twin = dataclasses.replace(GROWN, name="a b")
    with pytest.raises(ValueError, match="different names"):
        plan(sources, twin, dataclasses.replace(GROWN, name="a_b"))
    twice = plan(sources, GROWN, retention=(str(sources / "old.txt"),) * 2)
    lm = load_causal_lm(twice.model)
    with pytest.raises(ValueError, match="an earlier one"):
        Scores(lm, twice, load_task(twice.task))


def test_a_run_that_another_process_is_working_on_is_refused(sources, tmp_path):
    (tmp_path / "plan.json").write_text(plan(sources, GROWN).to_json(), "utf-8")
    own = tmp_path / "grown-seed0"
    own.mkdir()
    with (own / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="another one is training"):
            run_method(tmp_path, GROWN, 0)


def test_a_comparison_takes_more_methods_and_seeds_and_loses_none(sources):
    sft = Method("sft", "sft", (1e-3, 1e-2))
    begun = plan(sources, sft, seeds=(3, 1))
    again = Plan.from_json(begun.to_json())
    assert plan(sources, GROWN, sft, seeds=(3, 1, 0)).extends(again)
    assert not plan(sources, GROWN, seeds=(3, 1)).extends(again)
    # The first seed is that of the sweep.
    assert not plan(sources, sft, seeds=(1, 3)).extends(again)
    changed = dataclasses.replace(sft, learning_rate=1e-3)
    assert not plan(sources, changed, seeds=(3, 1)).extends(again)


def test_a_folder_that_cannot_be_created_is_an_error_before_training(
    sources, tmp_path
):
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(OSError, match="file"):
        compare(plan(sources, GROWN), tmp_path / "file" / "runs")


@pytest.mark.no_backend
def test_the_command_reports_a_mistake_in_one_line(capsys, tmp_path):
    words = ["compare", str(tmp_path / "x"), "--model", "m", "--task", "t"]
    with pytest.raises(SystemExit):
        main([*words, "--methods", "sftt"])
    assert "sftt" in capsys.readouterr().err
    status = main([*words, "--methods", "sft", "--updates", "0"])
    assert status == 1
    assert "updates=0" in capsys.readouterr().err


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("sft", Method("sft", "sft", 2e-5)),
        (
            "g_freeze:learning_rate=1e-4,layers=10,name=g",
            Method("g", "g_freeze", 1e-4, layers=10),
        ),
        (
            "lora:rank=4,warmup=3,anchor=0.5",
            Method(
                "lora:rank=4,warmup=3,anchor=0.5",
                "lora",
                5e-4,
                warmup=3,
                rank=4,
                anchor=0.5,
            ),
        ),
        (
            "zero_new:layers=0+2,name=z",
            Method("z", "zero_new", 1e-4, layers=(0, 2)),
        ),
    ],
)
def test_a_method_is_parsed_from_text(text, method):
    assert Method.parse(text) == method
    assert Method.from_dict(json.loads(json.dumps(method.to_dict()))) == method


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sft:rate=1", "key=value"),
        ("unknown", "Expected a method of a kind in"),
        ("sft:learning_rate=-1", "learning_rate=-1"),
        ("lora:layers=3", r"only settings of 'lora'.*layers"),
        ("g_freeze:rank=4", r"only settings of 'g_freeze'.*rank"),
    ],
)
def test_a_malformed_method_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Method.parse(text)


def test_a_plan_round_trips_through_json_and_refuses_what_cannot_run(sources):
    lists = Method("sft", "sft", [1e-3, 1e-2], layers=[0, 1])
    listed = plan(sources, GROWN, seeds=[0, 1], shares=[0.5])
    old = [str(sources / "old.txt")]
    listed = dataclasses.replace(listed, methods=[lists], retention=old)
    assert Plan.from_json(listed.to_json()) == listed
    assert listed.extends(Plan.from_json(listed.to_json()))
    for changes in ({"rank": 0}, {"warmup": -1}, {"layers": (-1,)}):
        with pytest.raises(ValueError, match=r"methods\[0\]"):
            plan(sources, dataclasses.replace(GROWN, **changes))
    with pytest.raises(ValueError, match="`retention` to be a list"):
        plan(sources, GROWN, retention="old.txt")
    whole = plan(sources, GROWN, seeds=(0, 1))
    assert Plan.from_json(whole.to_json()) == whole
    with pytest.raises(ValueError, match="a different name for each"):
        plan(sources, GROWN, GROWN)
    with pytest.raises(ValueError, match="updates=0"):
        plan(sources, GROWN, updates=0)
    with pytest.raises(ValueError, match="anchor_text=None"):
        plan(sources, dataclasses.replace(GROWN, anchor=1.0))


def test_every_method_trains_what_its_name_says():
    trained = {}
    for kind in KINDS:
        lm = tiny_lm("gemma3", num_layers=2)
        layers = 1 if kind == "block_expansion" else None
        lm = Method(kind, kind, 1e-3, rank=2, layers=layers).prepare(lm)
        trained[kind] = sum(int(np.prod(w.shape)) for w in lm.trainable_weights)
    base = tiny_lm("gemma3", num_layers=2).count_params()
    up, mlp = 2 * 2 * 16 * 24, 2 * 3 * 16 * 24
    assert trained["sft"] == base
    assert trained["sft_up"] == up
    assert trained["g_freeze"] == mlp
    assert trained["g_freeze_up"] == up
    assert trained["g_train"] == 2 * up
    assert trained["zero_all"] == base + mlp
    assert 0 < trained["lora"] < up
    assert trained["lora_growth"] == trained["lora"] + mlp
    assert trained["grow_mlp_and_heads"] == trained["grow_heads"] + mlp
    assert trained["grow_head_dim"] > 0
    block = sum(
        int(np.prod(w.shape))
        for w in lm.backbone.transformer_layers[0].weights
        if "post" not in w.path
    )
    assert trained["block_expansion"] == block
    assert set(trained) == set(PREPARATIONS)


@pytest.mark.no_backend
def test_every_example_is_drawn_once_per_epoch():
    order = example_order(10, seed=3, first=0, length=30)
    for epoch in range(3):
        assert sorted(order[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert not np.array_equal(order[:10], order[10:20])
    np.testing.assert_array_equal(example_order(10, 3, 7, 9), order[7:16])


def test_a_disk_without_room_for_a_checkpoint_is_an_error_before_training(
    sources, tmp_path, monkeypatch
):
    whole = plan(sources, GROWN)
    (tmp_path / "plan.json").write_text(whole.to_json(), "utf-8")
    # A full disk cannot be had here: the system's answer is made up.
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: SimpleNamespace(free=1000)
    )
    with pytest.raises(OSError, match=r"of room for checkpoints in"):
        run_method(tmp_path, GROWN, 0)
    assert not (tmp_path / "results.jsonl").exists()

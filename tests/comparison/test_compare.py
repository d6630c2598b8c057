"""A comparison runs, resumes where it was killed, and reports."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import tiny_lm
from keras import ops

from keras_grow.command import main
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import load_run
from keras_grow.comparison import read_results
from keras_grow.comparison.method import DEFAULT_RATES
from keras_grow.comparison.method import KINDS
from keras_grow.comparison.run import example_order

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
        ),
        **changes,
    )


GROWN = Method("grown", "g_freeze", 1e-2, warmup=2, layers=1)


def test_a_killed_comparison_goes_on_to_the_same_curve(sources, tmp_path):
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    compare(plan(sources, GROWN), unbroken, say=lambda line: None)
    code = f"""
from keras_grow.comparison import Plan, compare
from pathlib import Path
compare(Plan.from_json(Path({str(unbroken / "plan.json")!r}).read_text()),
        {str(broken)!r})
"""
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, start_new_session=True
    )
    checkpoint = broken / "grown-seed0" / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "report.md").exists()
    said: list[str] = []
    report = compare(plan(sources, GROWN), broken, say=said.append)
    assert any("goes on after update" in line for line in said)
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
    with pytest.raises(ValueError, match="this very comparison"):
        compare(plan(sources, GROWN, updates=7), tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_before_training(
    sources, tmp_path
):
    (tmp_path / "file").write_text("in the way", "utf-8")
    with pytest.raises(OSError, match="file"):
        compare(plan(sources, GROWN), tmp_path / "file" / "runs")


def test_the_command_says_in_one_line_what_is_wrong(capsys, tmp_path):
    words = ["compare", str(tmp_path / "x"), "--model", "m", "--task", "t"]
    with pytest.raises(SystemExit):
        main([*words, "--methods", "sftt"])
    assert "sftt" in capsys.readouterr().err
    status = main([*words, "--methods", "sft", "--updates", "0"])
    assert status == 1
    assert "updates=0" in capsys.readouterr().err


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
def test_methods_are_written_in_words(text, method):
    assert Method.parse(text) == method
    assert Method.from_dict(json.loads(json.dumps(method.to_dict()))) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sft:rate=1", "key=value"),
        ("unknown", "Expected a method out of"),
        ("sft:learning_rate=-1", "learning_rate=-1"),
    ],
)
def test_a_malformed_method_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Method.parse(text)


def test_a_plan_is_json_in_and_out_and_refuses_what_cannot_run(sources):
    whole = plan(sources, GROWN, seeds=(0, 1))
    assert Plan.from_json(whole.to_json()) == whole
    with pytest.raises(ValueError, match="name of its own"):
        plan(sources, GROWN, GROWN)
    with pytest.raises(ValueError, match="updates=0"):
        plan(sources, GROWN, updates=0)
    with pytest.raises(ValueError, match="anchor=None"):
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
    assert set(trained) == set(DEFAULT_RATES)


def test_the_order_of_examples_is_every_example_once_an_epoch():
    order = example_order(10, seed=3, first=0, length=30)
    for epoch in range(3):
        assert sorted(order[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert not np.array_equal(order[:10], order[10:20])
    np.testing.assert_array_equal(example_order(10, 3, 7, 9), order[7:16])

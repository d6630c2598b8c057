"""Shares of a change: learned against forgotten, with intervals."""

import dataclasses
import io
import json
import math
from math import nan

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_run import rows

import keras_grow
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import plots
from keras_grow.comparison.share_points import front_points
from keras_grow.comparison.share_points import front_table
from keras_grow.comparison.share_rows import Losses
from keras_grow.comparison.share_rows import append_share
from keras_grow.comparison.share_rows import read_shares
from keras_grow.comparison.shares import Change
from keras_grow.evaluation.results import MeanLoss

METHODS = (
    Method("SFT", "sft", 1e-2),
    Method("grown", "g_freeze", 1e-2, layers=1),
    Method("LoRA", "lora", 1e-2, rank=2),
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan over a tiny model on disk."""
    folder = tmp_path_factory.mktemp("sources")
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(
        str(folder / "model")
    )
    text = "\n".join(map(json.dumps, rows(8)))
    (folder / "rows.jsonl").write_text(text, "utf-8")
    (folder / "old.txt").write_text("the lazy dog jumps over a fox", "utf-8")
    return Plan(
        model=str(folder / "model"),
        task=f"{folder}/rows.jsonl,{folder}/rows.jsonl",
        methods=METHODS,
        retention=(str(folder / "old.txt"),),
        updates=1,
        batch_size=4,
        evaluations=1,
        shares=(0.5, 1.0),
    )


BATCH = {
    "token_ids": np.array([[2, 9, 5, 11, 30]], "int32"),
    "padding_mask": np.ones((1, 5), bool),
}


def logits(lm):
    return ops.convert_to_numpy(lm(BATCH))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_share_is_the_base_plus_a_part_of_the_change(plan, method):
    keras.utils.set_random_seed(0)
    lm = method.prepare(keras_grow.load_causal_lm(plan.model))
    base = logits(lm)
    before = {w.path: ops.convert_to_numpy(w) for w in lm.trainable_weights}
    rng = np.random.default_rng(0)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0.0, 0.1, weight.shape))
    after = {w.path: ops.convert_to_numpy(w) for w in lm.trainable_weights}
    trained = logits(lm)
    change = Change(lm, plan, method, 0)
    change.keep(0.0)
    np.testing.assert_allclose(logits(lm), base, atol=1e-6)
    change.keep(0.5)
    half = logits(lm)
    assert np.abs(half - base).max() > 1e-4
    assert np.abs(half - trained).max() > 1e-4
    if method.name == "grown":
        assert keras_grow.growths(lm)["growth_1"].scale == 0.5
    for weight in lm.trainable_weights:
        start, end = before[weight.path], after[weight.path]
        wanted = {
            "SFT": (start + end) / 2.0,
            "grown": end,
            # The product is scaled, so one of its two factors.
            "LoRA": end if "kernel_a" in weight.path else end / 2.0,
        }[method.name]
        found = ops.convert_to_numpy(weight)
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    change.keep(1.0)
    np.testing.assert_array_equal(logits(lm), trained)


@pytest.mark.usefixtures("runs_in_this_process")
def test_a_comparison_ends_with_the_curve_of_every_method(plan, tmp_path):
    chosen = dataclasses.replace(plan, methods=METHODS[:2])
    report = compare(chosen, tmp_path, say=lambda line: None)
    found = read_shares(tmp_path)
    assert found.keys() == {
        ("base", 0, 0.0),
        *((name, 0, share) for name in ("SFT", "grown") for share in (0.5, 1)),
    }
    last = [
        json.loads(line)
        for line in (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    ]
    for row in last:
        share = (row["method"], row["seed"], 1.0)
        point = found[share] if row["step"] else found["base", 0, 0.0]
        assert point["new/loss"].mean == pytest.approx(
            row["scores"]["new/loss"], abs=2e-4
        )
        perplexity = math.exp(point["old/old"].mean)
        assert perplexity == pytest.approx(row["scores"]["old/old"], rel=1e-3)
    text = report.read_text("utf-8")
    assert "| SFT | 0.5 | " in text
    assert "| grown | 1 | " in text
    assert (tmp_path / "front.png").stat().st_size > 5_000
    with (tmp_path / "shares.jsonl").open("a") as file:
        file.write('\n{"method": "gr')
    assert read_shares(tmp_path).keys() == found.keys()


@pytest.mark.no_backend
def test_a_point_has_the_interval_of_its_change(plan):
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, 200).astype("float64")
    # What is hard about an example is much larger than the change.
    base = Losses(rng.normal(5.0, 3.0, 200) * tokens, tokens)
    moved = rng.normal(-0.1, 0.2, 200) * tokens
    after = Losses(base.losses + moved, tokens)
    rows = {
        ("base", 0, 0.0): {"new": base, "old": base},
        ("SFT", 0, 0.5): {"new": base, "old": base},
        ("SFT", 0, 1.0): {"new": after, "old": after},
    }
    start, half, whole = front_points(plan, rows, "new", "old")
    assert (start.share, half.share, whole.share) == (0.0, 0.5, 1.0)
    assert half.forgotten == (0.0, 0.0, 0.0)
    change = after.mean - base.mean
    value, low, high = whole.learned
    assert value == pytest.approx(after.mean)
    # The delta method's standard error of a ratio, of the differences alone.
    error = np.sqrt(((moved - change * tokens) ** 2).sum()) / tokens.sum()
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert whole.forgotten[0] == pytest.approx(100 * math.expm1(change))
    table = "\n".join(front_table([start, half, whole], "new", "old"))
    assert f"| SFT | {after.mean:.3f} |" in table


@pytest.mark.no_backend
def test_a_single_text_has_no_interval(plan):
    base = Losses(np.array([20.0]), np.array([4.0]))
    after = Losses(np.array([24.0]), np.array([4.0]))
    rows = {
        ("base", 0, 0.0): {"new": base, "old": base},
        ("SFT", 0, 1.0): {"new": after, "old": after},
    }
    points = front_points(plan, rows, "new", "old")
    assert points[-1].learned == pytest.approx((6.0, nan, nan), nan_ok=True)
    table = "\n".join(front_table(points, "new", "old"))
    assert "| SFT | 1 | 6.000 | +171.8% |" in table


@pytest.mark.no_backend
def test_a_run_that_diverged_leaves_the_others_readable(plan, tmp_path):
    broken = MeanLoss("loss", nan, 2, (nan, math.inf), (1, 2))
    kept = MeanLoss("loss", 1.0, 2, (1.0, 2000.0), (1, 2))
    for method, found in (("base", kept), ("SFT", broken), ("grown", kept)):
        for share in [0.0] if method == "base" else plan.shares:
            scores = {"new/loss": found, "old/old": found}
            append_share(tmp_path, (method, 0, share), scores)
    text = (tmp_path / "shares.jsonl").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    # As earlier versions wrote it.
    old = text.replace("null", "NaN")
    (tmp_path / "shares.jsonl").write_text(old, "utf-8")
    rows = read_shares(tmp_path)
    assert np.isnan(rows["SFT", 0, 0.5]["new/loss"].losses).all()
    points = front_points(plan, rows, "new/loss", "old/old")
    table = "\n".join(front_table(points, "new/loss", "old/old"))
    assert "| SFT | 0.5 | nan | +nan% |" in table
    assert "| SFT | 667.000 | 667.000 | 667.000 |" in table
    figure = plots.front(points, "new/loss", "old/old")
    figure.savefig(tmp_path / "front.png")


@pytest.mark.no_backend
def test_a_perplexity_that_overflows_is_infinite_in_the_report(plan):
    base = Losses(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    after = Losses(np.array([1000.0, 2000.0]), np.array([1.0, 1.0]))
    rows = {
        ("base", 0, 0.0): {"new": base, "old": base},
        ("SFT", 0, 1.0): {"new": after, "old": after},
    }
    points = front_points(plan, rows, "new", "old")
    assert points[-1].forgotten[0] == math.inf
    figure = plots.front(points, "new", "old")
    figure.savefig(io.BytesIO())

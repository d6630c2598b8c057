"""Learning rates chosen on held-out examples; methods over block counts."""

import dataclasses
import json

import numpy as np
import pytest
from tiny_models import tiny_lm

from keras_grow import LayerScores
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import plots
from keras_grow.comparison.events import RateTried
from keras_grow.comparison.layer_counts import with_layer_counts
from keras_grow.comparison.method_training import prepare
from keras_grow.comparison.prepare import lora_parameters
from keras_grow.comparison.run import run_method
from keras_grow.comparison.sweep import split
from keras_grow.selection import last_blocks
from keras_grow.tasks import Example

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]


def examples(count):
    return tuple(
        Example(f"{WORDS[i % 9]} a", f" {WORDS[i % 7]}") for i in range(count)
    )


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """A plan over a tiny model on disk, with two methods of two blocks."""
    folder = tmp_path_factory.mktemp("sources")
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(
        str(folder / "model")
    )
    rows = [{"prompt": e.prompt, "response": e.response} for e in examples(12)]
    text = "\n".join(map(json.dumps, rows))
    (folder / "train.jsonl").write_text(text, "utf-8")
    # As WikiText writes it.
    text = " = A dog = \n\n the lazy @-@ dog jumps over a fox . \n"
    (folder / "old.txt").write_text(text, "utf-8")
    task = str(folder / "train.jsonl")
    return Plan(
        model=str(folder / "model"),
        task=f"{task},{task}",
        methods=(Method("lora", "lora", (1e-9, 1e-2), rank=2),),
        retention=(str(folder / "old.txt"),),
        updates=4,
        batch_size=4,
        evaluations=2,
        sweep_updates=2,
        # What is written by a model is tested in `test_compare.py`.
        generated=0,
        shares=(),
    )


@pytest.mark.usefixtures("runs_in_this_process")
def test_the_rate_with_the_lowest_held_out_loss_is_chosen(plan, tmp_path):
    said: list[str] = []
    report = compare(plan, tmp_path, say=said.append).read_text("utf-8")
    tried = {
        rate: json.loads(
            (tmp_path / "lora-seed0" / f"rate-{rate:g}.json").read_text()
        )["held_out_loss"]
        for rate in (1e-9, 1e-2)
    }
    best = min(tried, key=tried.get)
    assert tried[1e-9] != tried[1e-2]
    assert f"  learning rate {best:g} chosen" in said
    done = json.loads((tmp_path / "lora-seed0" / "done.json").read_text())
    assert done["learning_rate"] == best
    assert f"learning rate {best:g}, of 1e-09 (held-out loss" in report
    assert (tmp_path / "trade_off.png").stat().st_size > 5_000


def test_a_run_by_itself_tries_its_rates_first(plan, tmp_path):
    (tmp_path / "plan.json").write_text(plan.to_json(), "utf-8")
    events = []
    run_method(tmp_path, plan.methods[0], 0, on_event=events.append)
    tried = {e.rate: e.loss for e in events if isinstance(e, RateTried)}
    assert tried.keys() == {1e-9, 1e-2}
    done = json.loads((tmp_path / "lora-seed0" / "done.json").read_text())
    assert done["learning_rate"] == min(tried, key=tried.get)


@pytest.mark.no_backend
def test_held_out_examples_are_not_trained_on():
    rows = examples(100)
    train, held = split(rows, most=5)
    assert set(train) | set(held) == set(rows)
    assert (len(train), len(held)) == (95, 5)
    # Of rows that are sorted, not those of the end alone.
    assert min(map(rows.index, held)) < 50
    assert len(split(examples(3), most=5)[1]) == 1
    with pytest.raises(ValueError, match="two training rows or more"):
        split(examples(1), most=5)


def test_lora_gets_the_number_of_parameters_that_is_asked_for(plan):
    lm = tiny_lm("gemma3", num_layers=2)
    names = lm.backbone.default_lora_layer_names()
    each = lora_parameters(lm.backbone, names)
    Method("m", "lora", 1e-3, parameters=7 * each + 1).prepare(lm)
    trained = sum(int(np.prod(w.shape)) for w in lm.trainable_weights)
    assert trained == 7 * each


def test_decay_holds_the_slices_near_their_start(plan):
    """With a share of 1 per update, every weight ends where it started."""
    distances = {}
    for decay in (0.0, 1e2):
        method = Method("g", "g_freeze", 1e-2, decay_to_start=decay)
        run = prepare(plan, method, 1e-2, 0, examples(12))
        before = [np.array(w.numpy()) for w in run.lm.trainable_weights]
        run.update(0, 2)
        distances[decay] = max(
            np.abs(w.numpy() - start).max()
            for w, start in zip(run.lm.trainable_weights, before, strict=True)
        )
    assert distances[0.0] > 1e-3
    assert distances[1e2] < 1e-6


@pytest.mark.no_backend
def test_a_growth_is_run_for_every_number_of_blocks():
    scores = LayerScores.ranked([0.1, 0.4, 0.3, 0.2], "update", "example")
    methods = with_layer_counts(
        [Method("sft", "sft", 1e-5), Method("g", "g_freeze", 5e-5)],
        scores,
        (1, 3, 5, 20),
    )
    assert [m.name for m in methods] == ["sft", "g_n1", "g_n3", "g_n4"]
    assert [m.layers for m in methods] == [
        None,
        (1,),
        (1, 2, 3),
        (0, 1, 2, 3),
    ]
    with pytest.raises(ValueError, match="grows blocks"):
        with_layer_counts([Method("sft", "sft", 1e-5)], scores)
    with pytest.raises(ValueError, match="counts"):
        with_layer_counts(methods, scores, (0,))


@pytest.mark.no_backend
def test_block_counts_are_plotted_as_lines_over_n(plan):
    methods = with_layer_counts(
        [Method("sft", "sft", 1e-5), Method("g", "g_freeze", 5e-5)],
        last_blocks(4),
        (1, 2, 4),
    )
    rows = [
        {
            "method": method.name,
            "seed": 0,
            "step": step,
            "scores": {"new/loss": 2.0 - number * step, "old/text": 9.0 + step},
            "details": {
                "new/loss": {"metric": "loss"},
                "old/text": {"metric": "perplexity"},
            },
        }
        for number, method in enumerate(methods)
        for step in (0, 1)
    ]
    figure = plots.layer_counts(
        dataclasses.replace(plan, methods=methods), rows
    )
    new = figure.axes[1]
    lines = {line.get_label(): line for line in new.lines}
    assert set(lines) == {"base", "sft", "g"}
    assert list(lines["g"].get_xdata()) == [1, 2, 4]
    assert list(lines["g"].get_ydata()) == [1.0, 0.0, -1.0]
    assert plots.layer_counts(plan, rows[:2]) is None


@pytest.mark.usefixtures("runs_in_this_process")
def test_a_file_of_chats_is_compared_on_its_held_out_part(plan, tmp_path):
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"{WORDS[i]} a"},
                {"role": "assistant", "content": WORDS[i % 7]},
            ]
        }
        for i in range(8)
    ]
    file = tmp_path / "chats.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    chats = dataclasses.replace(
        plan,
        task=str(file),
        template="gemma",
        split=0.25,
        methods=(Method("grown", "g_freeze", 1e-3, layers=1),),
        updates=1,
        evaluations=1,
    )
    assert Plan.from_json(chats.to_json()) == chats
    task = chats.load_task()
    assert (len(task.train), len(task.validation)) == (6, 2)
    compare(chats, tmp_path / "run", say=lambda line: None)
    text = (tmp_path / "run" / "results.jsonl").read_text("utf-8")
    before, after = [
        row["scores"]["new/loss"] for row in map(json.loads, text.splitlines())
    ]
    assert before != after
    with pytest.raises(ValueError, match="split=-1"):
        dataclasses.replace(plan, split=-1)

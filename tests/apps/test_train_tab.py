"""Uploads are checked; lessons are; one training runs at a time."""

import json
import threading
from pathlib import Path

import pytest
from conftest import tiny_lm

from apps.training import Busy
from apps.training import Lesson
from apps.training import Progress
from apps.training import Trainer
from apps.uploads import Refused
from apps.uploads import Rows
from apps.uploads import check

ROW = '{"prompt": "a", "response": " b"}\n'


def test_rows_are_checked_cut_in_two_and_written(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(
        ROW * 10
        + '{"prompt": "a", "response": " "}\n{"prompt": 3}\n'
        + json.dumps({"prompt": "a" * 9000, "response": "b"}),
        "utf-8",
    )
    rows = check(str(file))
    assert len(rows.examples) == 10
    assert len(rows.skipped) == 3
    assert rows.held_out == 2
    train, validation = rows.write(tmp_path).split(",")
    counts = [
        len(Path(p).read_text("utf-8").splitlines())
        for p in (train, validation)
    ]
    assert counts == [8, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.txt", ROW * 10, "not rows.txt"),
        ("rows.jsonl", ROW * 7, "7 usable rows"),
        ("rows.jsonl", "", "0 usable rows"),
        ("rows.csv", "x,y\n1,2\n", "fields of a format"),
        ("rows.jsonl", "[" * 100_000, "cannot be read|usable rows"),
        ("rows.jsonl", ROW * 20_001, "20,001 rows"),
        ("rows.jsonl", ROW * 200_000, "At most 5 MB"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(
    tmp_path, name, content, message
):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(Refused, match=message):
        check(str(tmp_path / name))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "../sft"}, "Choose a method"),
        ({"layers": -1}, "Choose layers"),
        ({"factor": 1}, "Choose factor"),
        ({"updates": 0}, "Choose updates"),
        ({"learning_rate": float("nan")}, "Choose learning rate"),
    ],
)
def test_an_impossible_lesson_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Lesson(**settings)


@pytest.fixture
def trainer(tmp_path):
    trainer = Trainer(tmp_path / "runs", "model", "float32")
    trainer.progress = Progress("running", "Training.", owner="ann", updates=4)
    return trainer


def test_there_is_one_training_and_only_its_owner_stops_it(trainer, tmp_path):
    rows = Rows([{"prompt": "a", "response": "b"}] * 8, (), 2)
    with pytest.raises(Busy, match="started by another"):
        trainer.start(Lesson(), rows, "bob")
    with pytest.raises(Busy, match="started by you"):
        trainer.start(Lesson(), rows, "ann")
    assert not (tmp_path / "runs").exists()


def test_the_process_is_understood_line_by_line(trainer):
    row = {"method": "m", "seed": 0, "step": 0, "scores": {"new/loss": 3.0}}
    for event in (
        {"phase": "Training."},
        {"row": row},
        {"step": 1, "loss": 2.0, "seconds": 1.0},
        {"step": 2, "loss": 1.5, "seconds": 1.0},
        {"done": "run/m-seed0", "message": "Done."},
    ):
        trainer._take(event)
    now = trainer.progress
    assert now.losses == ((1, 2.0), (2, 1.5))
    assert now.rows == (row,)
    assert (now.state, now.key, now.seconds_left) == ("done", "run/m-seed0", 0)


def test_a_process_that_dies_is_told_with_its_last_words(tmp_path):
    trainer = Trainer(tmp_path, "model", "float32")
    rows = Rows([{"prompt": "a", "response": "b"}] * 8, (), 2)
    ended = threading.Event()
    watch = trainer._watch

    def watch_and_tell(process):
        watch(process)
        ended.set()

    trainer._watch = watch_and_tell
    trainer.start(Lesson(updates=1), rows, "ann")
    assert ended.wait(240)
    assert trainer.progress.state == "failed"
    assert "model" in trainer.progress.message


def test_a_training_whose_app_was_killed_keeps_what_it_learnt(tmp_path):
    model = tmp_path / "model"
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(str(model))
    trainer = Trainer(tmp_path / "runs", str(model), "float32")
    rows = Rows([{"prompt": "the", "response": " fox"}] * 8, (), 2)
    ended = threading.Event()

    def leave(process):
        next(line for line in process.stdout if '"loss"' in line)
        process.stdin.close()
        process.stdout.close()
        process.wait()
        ended.set()

    trainer._watch = leave
    trainer.start(Lesson(layers=1, updates=2000), rows, "ann")
    assert ended.wait(240)
    (done,) = (tmp_path / "runs").glob("*/*/done.json")
    assert (done.parent / "growth.grow.safetensors").exists()
    assert (done.parent.parent / "report.md").exists()

"""Uploads are checked; lessons are; one training runs at a time."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from keras_grow.app.train_tab import check as say_of_upload
from keras_grow.app.train_tab import progress
from keras_grow.app.train_tab import shown
from keras_grow.app.train_tab import thinned
from keras_grow.app.training import Busy
from keras_grow.app.training import Lesson
from keras_grow.app.training import Progress
from keras_grow.app.training import Trainer
from keras_grow.app.uploads import Refused
from keras_grow.app.uploads import Rows
from keras_grow.app.uploads import check
from tiny_models import tiny_lm

from keras_grow.app import train_worker
from keras_grow.tasks import load_task

ROWS = Rows([{"prompt": "a", "response": "b"}] * 8, (), 2)
ROW = '{"prompt": "a", "response": " b"}\n'


@pytest.mark.no_backend
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


@pytest.mark.no_backend
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


@pytest.mark.no_backend
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


@pytest.mark.no_backend
def test_there_is_one_training_and_only_its_owner_stops_it(trainer, tmp_path):
    rows = Rows([{"prompt": "a", "response": "b"}] * 8, (), 2)
    with pytest.raises(Busy, match="started by another"):
        trainer.start(Lesson(), rows, "bob")
    with pytest.raises(Busy, match="started by you"):
        trainer.start(Lesson(), rows, "ann")
    assert not (tmp_path / "runs").exists()


@pytest.mark.no_backend
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


@pytest.mark.no_backend
def test_what_a_library_prints_does_not_end_the_watching(trainer, tmp_path):
    words = ["a warning of some library", "5", "[]", '{"step": 1, "loss": 2}']
    events = [{"stopped": "Nothing was learned."}]
    lines = "\\n".join([*words, *map(json.dumps, events)])
    process = subprocess.Popen(
        [sys.executable, "-c", f"print('{lines}')"],
        stdout=subprocess.PIPE,
        text=True,
    )
    trainer._watch(process)
    now = trainer.progress
    assert (now.state, now.message) == ("stopped", "Nothing was learned.")
    assert "Error" not in progress(now)


@pytest.mark.no_backend
@pytest.mark.parametrize("method", ["g_freeze", "g_train"])
def test_more_blocks_than_the_model_has_are_refused_at_once(tmp_path, method):
    trainer = Trainer(tmp_path / "runs", "model", "float32")
    with pytest.raises(ValueError, match=r"has 18 blocks.*Received: 25"):
        trainer.start(Lesson(method, layers=25), ROWS, "ann", num_blocks=18)
    assert trainer.progress.state == "idle"
    assert not (tmp_path / "runs").exists()


@pytest.mark.no_backend
@pytest.mark.parametrize("method", ["sft", "lora"])
def test_a_method_that_keeps_all_weights_needs_room(
    tmp_path, monkeypatch, method
):
    full = SimpleNamespace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    trainer = Trainer(tmp_path / "runs", "model", "float32")
    with pytest.raises(OSError, match=r"Only 1\.0 GB are free"):
        trainer.start(Lesson(method), ROWS, "ann")


@pytest.mark.no_backend
def test_a_long_curve_is_drawn_with_few_points():
    losses = tuple((step, 1.0 / step) for step in range(1, 2001))
    kept = thinned(losses)
    assert len(kept) <= 201
    assert (kept[0], kept[-1]) == (losses[0], losses[-1])
    assert thinned(losses[:200]) == losses[:200]
    drawn = shown(Progress("running", losses=losses, updates=2000), "ann")[1]
    assert drawn.count("kg-point") == len(kept)


@pytest.mark.no_backend
def test_rows_that_will_be_cut_are_spoken_of(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(
        ROW * 10 + json.dumps({"prompt": "a" * 1500, "response": "b"}), "utf-8"
    )
    assert "Rows are cut to 256 tokens" in say_of_upload(str(file))
    file.write_text(ROW * 10, "utf-8")
    assert "cut to" not in say_of_upload(str(file))
    now = Progress("done", cut="Of 11 rows, 1 was left out.", message="Done.")
    assert "Of 11 rows" in progress(now)


@pytest.mark.no_backend
def test_an_uploaded_translation_is_measured_as_one(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("en,fr\n" + "Good night.,Bonne nuit.\n" * 10, "utf-8")
    assert load_task(check(str(file)).write(tmp_path)).metric == "sacrebleu"


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    """Function that trains a tiny model, stopped at a score or not at all."""
    folder = tmp_path_factory.mktemp("lesson")
    model = folder / "model"
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(str(model))

    def run(name, monkeypatch, stop_at, row=None, **settings):
        rows = [{"prompt": "the quick", "response": " fox"}] * 8
        rows[0] = {**rows[0], **(row or {})}
        trainer = Trainer(folder / name, str(model), "float32")
        own = trainer._make_folder(
            Lesson(layers=1, updates=4), Rows(rows, (), 2)
        )
        wanted = json.loads((own / "lesson.json").read_text("utf-8"))
        (own / "lesson.json").write_text(json.dumps({**wanted, **settings}))
        scored, events, stop = [], {}, threading.Event()

        def write(folder, method, watch, scores):
            scored.append(watch.step)
            if watch.step == stop_at:
                stop.set()

        monkeypatch.setattr(train_worker, "_write", write)
        monkeypatch.setattr(train_worker, "write_report", lambda folder: None)
        monkeypatch.setattr(
            train_worker, "say", lambda **event: events.update(event)
        )
        train_worker.train(own, stop)
        return scored, events

    return run


def test_a_stop_while_the_model_is_scored_scores_it_once(lesson, monkeypatch):
    scored, events = lesson("scored", monkeypatch, stop_at=2)
    assert scored == [0, 1, 2]
    assert events["message"].startswith("Stopped after 2 updates")


def test_a_stop_before_the_first_update_is_no_error(lesson, monkeypatch):
    scored, events = lesson("before", monkeypatch, stop_at=0)
    assert scored == [0]
    assert "nothing was learned" in events["stopped"]
    assert not {"failed", "done"} & set(events)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            {"response": " fox" * 40},
            "0 lost the beginning of their prompt and 1 were left out",
        ),
        (
            {"prompt": "the fox " * 40},
            "1 lost the beginning of their prompt and 0 were left out",
        ),
    ],
)
def test_rows_that_were_cut_are_counted(lesson, monkeypatch, row, words):
    _, events = lesson(
        f"cut_{words[0]}", monkeypatch, 0, row, sequence_length=32
    )
    assert words in events["cut"]
    assert "more than 32 tokens" in events["cut"]


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
        next(line for line in process.stdout if "loss" in json.loads(line))
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

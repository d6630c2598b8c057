"""One training runs at a time, outlives its app, and is kept when stopped."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from keras_grow.app.lesson import Lesson
from keras_grow.app.runs import Runs
from keras_grow.app.trainer import Busy
from keras_grow.app.trainer import Trainer
from keras_grow.app.trainer import why_ended
from keras_grow.app.uploads import Rows
from tiny_models import tiny_lm
from tiny_run import rows as tiny_rows
from workers import worker_of

from keras_grow.app import train_worker
from keras_grow.app import training_folders
from keras_grow.comparison import read_results
from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Failed
from keras_grow.files import only_one
from keras_grow.tasks import Example

ROWS = Rows(
    tuple(tiny_rows(12)),
    tuple(Example(r["prompt"], r["response"]) for r in tiny_rows(12)),
    held_out=2,
    name="rows.csv",
)
PATIENCE = 240


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny model on disk."""
    folder = tmp_path_factory.mktemp("model") / "model"
    tiny_lm("gemma3", tokenizer=True, num_layers=2).save_to_preset(str(folder))
    return str(folder)


def wait(trainer, ready):
    """Wait until the status is as it should be, and return it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = trainer.status
        if ready(now):
            return now
        time.sleep(0.05)
    raise AssertionError(trainer.status)


@pytest.mark.once
def test_a_training_outlives_its_app_goes_on_after_a_kill_and_is_kept(
    model, tmp_path
):
    made = tmp_path / "runs"
    first = Trainer(made, model, "float32")
    lesson = Lesson(layers=1, updates=2000, learning_rate=1e-2)
    assert first.start(lesson, ROWS, "ann") == "rows.csv, G-Freeze-Up"
    with pytest.raises(Busy, match="started by another"):
        first.start(lesson, ROWS, "bob")
    wait(first, lambda now: now.step >= 500 and len(now.rows) > 1)
    # As after a restart: an app that did not start it.
    second = Trainer(made, model, "float32")
    now = second.status
    assert (now.state, now.owner) == ("running", "ann")
    assert now.step >= 500
    with pytest.raises(Busy, match="started by you"):
        second.start(lesson, ROWS, "ann")
    (own,) = training_folders.all_of(made)
    with pytest.raises(ValueError, match="running"):
        second.delete(own)
    os.kill(worker_of(own), signal.SIGKILL)
    assert "signal 9" in wait(first, lambda n: n.state == "failed").message
    assert "memory" in wait(second, lambda n: n.state == "failed").message
    assert training_folders.can_go_on(own)
    second.go_on(own, "bob")
    now = wait(second, lambda n: n.step > 500)
    assert second.stop("ann").startswith("Only the visitor")
    assert second.stop("bob").startswith("Stopping")
    now = wait(second, lambda n: n.state != "running")
    assert "Stopped after" in now.message
    assert now.key == f"{own.name}/G-Freeze-Up-seed0"
    rows = read_results(own)
    assert [row["step"] for row in rows][:2] == [0, 500]
    assert rows[-1]["step"] == now.step
    assert "low" in rows[0]["details"]["new/loss"]
    table = (own / "report.md").read_text("utf-8")
    assert "| G-Freeze-Up | " in table
    (entry,) = Runs(None, made, model, "float32").entries()
    assert (entry.label, entry.key) == ("rows.csv, G-Freeze-Up", now.key)
    assert entry.is_grown
    training_folders.delete(own)
    assert not Runs(None, made, model, "float32").entries()


@pytest.mark.once
def test_an_error_of_the_process_is_told_in_its_own_words(tmp_path):
    trainer = Trainer(tmp_path, str(tmp_path / "nothing.gguf"), "float32")
    trainer.start(Lesson(updates=1), ROWS, "ann", name="  mine ")
    now = wait(trainer, lambda now: now.state != "running")
    assert (now.state, now.name) == ("failed", "mine")
    assert "nothing.gguf" in now.message


@pytest.mark.no_backend
@pytest.mark.parametrize("method", ["g_freeze", "g_train"])
def test_more_blocks_than_the_model_has_are_refused_at_once(tmp_path, method):
    trainer = Trainer(tmp_path / "runs", "model", "float32")
    with pytest.raises(ValueError, match=r"has 18 blocks.*Received: 25"):
        trainer.start(Lesson(method, layers=25), ROWS, "ann", num_blocks=18)
    assert trainer.status.state == "idle"
    assert not (tmp_path / "runs").exists()


@pytest.mark.no_backend
def test_a_full_disk_is_told_before_anything_starts(tmp_path, monkeypatch):
    full = SimpleNamespace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    trainer = Trainer(tmp_path / "runs", "model", "float32")
    with pytest.raises(OSError, match=r"Only 0\.1 GB are free"):
        trainer.start(Lesson(), ROWS, "ann")


@pytest.mark.no_backend
def test_a_training_that_begins_cannot_be_deleted(tmp_path, monkeypatch):
    # Its process has not yet locked the folder.
    process = SimpleNamespace(poll=lambda: None)
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: process)
    trainer = Trainer(tmp_path, "model", "float32")
    trainer.start(Lesson(), ROWS, "ann")
    (own,) = training_folders.all_of(tmp_path)
    with pytest.raises(ValueError, match="Stop it first"):
        trainer.delete(own)
    process.poll, process.returncode = (lambda: 1), 1
    wait(trainer, lambda now: now.state == "failed")
    trainer.delete(own)
    assert (training_folders.all_of(tmp_path), trainer.finished) == ([], 1)


@pytest.mark.no_backend
def test_a_process_that_ended_without_a_word_is_spoken_for(tmp_path):
    (tmp_path / "log.txt").write_text("some\nlast words\n\n", "utf-8")
    assert "last words" in why_ended(tmp_path, 3)
    assert "signal 9" in why_ended(tmp_path, -9)
    assert "memory" in why_ended(tmp_path, None)


@pytest.mark.no_backend
def test_trainings_have_names_and_notes_of_their_own(tmp_path):
    for stamp in ("01", "02"):
        own = tmp_path / f"g_freeze_2026-11-25_16-25-{stamp}"
        own.mkdir()
        name = training_folders.free_name(tmp_path, "mine")
        training_folders.write_note(
            own, training_folders.Note(name, "ann", "x" * 9999)
        )
    assert [
        training_folders.name_of(f) for f in training_folders.all_of(tmp_path)
    ] == [
        "mine (2)",
        "mine",
    ]
    assert len(training_folders.read_note(own).notes) == 4000
    assert training_folders.find(tmp_path, "../etc") is None
    # One that is cut to its length is still another's.
    long = "x" * 99
    for number in (1, 2):
        (tmp_path / f"{number}").mkdir()
        training_folders.write_note(
            tmp_path / f"{number}",
            training_folders.Note(training_folders.free_name(tmp_path, long)),
        )
    names = {training_folders.name_of(tmp_path / n) for n in "12"}
    assert len(names) == 2
    (own / "training.json").write_text("[", "utf-8")
    assert training_folders.read_note(own) is None
    assert training_folders.name_of(own) == own.name


@pytest.mark.no_backend
def test_half_an_event_of_a_killed_process_is_left_out(tmp_path):
    line = f"5.0 {Failed('x').to_json()}\n"
    (tmp_path / "events.txt").write_text("7.0 {\n" + line + "8.0 {", "utf-8")
    found, start = training_folders.read_events(tmp_path)
    assert found == [(5.0, Failed("x"))]
    assert training_folders.read_events(tmp_path, start) == ([], start)


def held_for(seconds, lock):
    """Hold a lock for a while in another thread, as one that looks does."""
    taken = threading.Event()

    def hold():
        with only_one(lock):
            taken.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    return thread


@pytest.mark.no_backend
def test_a_process_begins_though_somebody_looks_for_it_just_then(
    tmp_path, monkeypatch
):
    end = Ended(1, False)
    monkeypatch.setattr(train_worker, "train", lambda folder, say: say(end))
    monkeypatch.setattr(sys, "argv", ["worker", str(tmp_path)])
    looks = held_for(0.3, tmp_path / training_folders.LOCK_FILE)
    train_worker.main()
    looks.join()
    found, _ = training_folders.read_events(tmp_path)
    assert [event for _, event in found] == [Begun("load"), end]


@pytest.mark.no_backend
def test_one_who_looks_is_not_taken_for_a_training(tmp_path):
    lock = tmp_path / training_folders.LOCK_FILE
    looks = held_for(0.03, lock)
    assert not training_folders.is_running(tmp_path)
    looks.join()
    with training_folders.at_work(tmp_path):
        assert training_folders.is_running(tmp_path)
        with (
            pytest.raises(BlockingIOError),
            training_folders.at_work(tmp_path, patience=0.05),
        ):
            pass

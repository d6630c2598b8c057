"""One training at a time, in a process that the page watches."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from keras_grow.files import write_atomically

from .uploads import Rows

METHODS = {
    "Grow, train the new slices (G-Freeze)": "g_freeze",
    "Grow, train up-projections (G-Train)": "g_train",
    "Fine-tune all weights (SFT)": "sft",
    "LoRA": "lora",
}
RATES = {"g_freeze": 2e-5, "g_train": 2e-5, "sft": 2e-5, "lora": 5e-4}
MAX_UPDATES = 2000
_BATCH = 8
LONG = 1000  # Characters; above, rows are cut to CUT tokens.
CUT = 256
# All weights are kept by these methods, not those of new slices alone.
_KEEP_ALL = ("sft", "lora")
_MIN_FREE = 6_000_000_000
LOG_FILE = "log.txt"
_PASSAGES = Path(__file__).parent / "passages.txt"


class Busy(Exception):
    """A training is under way already."""


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What a visitor wants trained.

    Attributes:
        method: a key of `RATES`.
        layers: how many of the last blocks grow; 0 for all.
        factor: width of a grown MLP over that of the base's.
        updates: how many.
        learning_rate: of Adam.
        anchored: whether the base's predictions on other text are held to.
        retention: what the old skill is measured on, a name of
            `keras_grow.comparison.Plan`; empty for the app's own passages.

    Raises:
        ValueError: if something is out of range, in words for the visitor.
    """

    method: str = "g_freeze"
    layers: int = 10
    factor: int = 2
    updates: int = 30
    learning_rate: float = 2e-5
    anchored: bool = False
    retention: str = ""

    def __post_init__(self) -> None:
        if self.method not in RATES:
            raise ValueError("Choose a method.")
        for name, low, high in (
            ("layers", 0, 200),
            ("factor", 2, 8),
            ("updates", 1, MAX_UPDATES),
            ("learning_rate", 1e-7, 1e-1),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(
                    f"Choose {name.replace('_', ' ')} from {low:g} to "
                    f"{high:g}. It is {value}."
                )


@dataclasses.dataclass(frozen=True)
class Progress:
    """How the training stands.

    Attributes:
        state: "idle", "running", "done", "stopped" before anything was
            learned, or "failed".
        phase: what it does, in words.
        name: folder of the run.
        owner: the visitor who started it.
        step: updates made.
        updates: updates wanted.
        losses: pairs of update and training loss.
        rows: scores so far, as rows of `results.jsonl`.
        seconds_left: an estimate, or None before there is one.
        cut: which rows were cut or left out, in words.
        message: how it ended.
        key: the finished model's entry.
    """

    state: str = "idle"
    phase: str = ""
    name: str = ""
    owner: str = ""
    step: int = 0
    updates: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    seconds_left: float | None = None
    cut: str = ""
    message: str = ""
    key: str = ""


class Trainer:
    """Starts the one training there may be, watches and stops it.

    Args:
        folder: where runs go, a folder each.
        model: name of the base model.
        dtype: its dtype.
    """

    def __init__(self, folder: Path, model: str, dtype: str) -> None:
        self.folder = folder
        self.model = model
        self.dtype = dtype
        self.progress = Progress()
        self.finished = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._began = 0.0

    def start(
        self, lesson: Lesson, rows: Rows, owner: str, num_blocks: int = 0
    ) -> None:
        """Begin.

        Args:
            lesson: what to train.
            rows: on what.
            owner: the visitor who wants it.
            num_blocks: blocks of the model. Defaults to 0: not known yet.

        Raises:
            Busy: if a training is under way.
            ValueError: if more blocks are to grow than there are.
            OSError: if the folder cannot be written or the disk is full.
        """
        with self._lock:
            if self.progress.state == "running":
                raise Busy(
                    "A training is under way, started by "
                    + ("you" if owner == self.progress.owner else "another")
                    + ". There is one at a time; you can compare meanwhile."
                )
            grows = lesson.method.startswith("g_")
            if grows and 0 < num_blocks < lesson.layers:
                raise ValueError(
                    f"The model has {num_blocks} blocks. Choose as many at "
                    f"most, or 0 for all. Received: {lesson.layers}."
                )
            own = self._make_folder(lesson, rows)
            worker = [sys.executable, "-m", "keras_grow.app.train_worker"]
            with (own / LOG_FILE).open("w") as log:
                self._process = subprocess.Popen(
                    [*worker, os.fspath(own)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            watched = self._process
            self.progress = Progress(
                "running",
                "Starting.",
                own.name,
                owner,
                updates=lesson.updates,
            )
        threading.Thread(
            target=self._watch, args=[watched], daemon=True
        ).start()

    def stop(self, owner: str) -> str:
        """Ask the training to end and keep what was learned.

        Returns:
            What to tell the visitor.
        """
        with self._lock:
            if self.progress.state != "running" or self._process is None:
                return "Nothing is being trained."
            if owner != self.progress.owner:
                return "Only the visitor who started the training can stop it."
            self._change(phase="Stopping after this update.")
            _say_stop(self._process)
            return "Stopping; what was learned will be kept."

    def _make_folder(self, lesson: Lesson, rows: Rows) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if lesson.method in _KEEP_ALL and free < _MIN_FREE:
            raise OSError(
                f"Only {free / 1e9:.1f} GB are free on the disk; all weights "
                "are kept after fine-tuning and LoRA. Free some, or grow "
                "instead."
            )
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        own = self.folder / f"{lesson.method}_{stamp}"
        own.mkdir()
        task = rows.write(own)
        old, anchor = own / "general_text.txt", own / "anchor.jsonl"
        passages = _PASSAGES.read_text("utf-8").strip().split("\n\n")
        half = len(passages) // 2
        with write_atomically(old) as file:
            file.write("\n\n".join(passages[:half]))
        lines = [
            json.dumps({"prompt": p, "response": ""}) for p in passages[half:]
        ]
        with write_atomically(anchor) as file:
            file.write("\n".join(lines) + "\n")
        wanted = {
            **dataclasses.asdict(lesson),
            "model": self.model,
            "dtype": self.dtype,
            "task": task,
            "retention": lesson.retention or str(old),
            "anchor": str(anchor),
            "batch_size": _BATCH,
            "sequence_length": CUT if rows.longest > LONG else None,
        }
        with write_atomically(own / "lesson.json") as file:
            json.dump(wanted, file)
        return own

    def _watch(self, process: "subprocess.Popen[str]") -> None:
        self._began = 0.0
        with process:
            for line in process.stdout or ():
                try:
                    self._take(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    continue  # Some library's own words.
        code = process.returncode
        with self._lock:
            if self.progress.state == "running":
                log = self.folder / self.progress.name / LOG_FILE
                words = log.read_text("utf-8", "replace").split("\n")
                last = next((w for w in reversed(words) if w.strip()), "")
                self._change(
                    state="failed",
                    message=f"The training ended unexpectedly (exit status "
                    f"{code}). Its last words: {last.strip()[:500]}",
                )

    def _take(self, event: dict[str, Any]) -> None:
        """One line of the process: a phase, an update, scores, or the end."""
        with self._lock:
            now = self.progress
            if "phase" in event and "Stopping" not in now.phase:
                self._change(phase=event["phase"])
            if "loss" in event:
                if not self._began:
                    self._began = time.monotonic() - event["seconds"]
                step = event["step"]
                left = (time.monotonic() - self._began) / step
                self._change(
                    step=step,
                    losses=(*now.losses, (step, event["loss"])),
                    seconds_left=left * (now.updates - step),
                )
            if "cut" in event:
                self._change(cut=event["cut"])
            if "row" in event:
                self._change(rows=(*now.rows, event["row"]))
            if "done" in event:
                self.finished += 1
                self._change(
                    state="done",
                    key=event["done"],
                    message=event["message"],
                    seconds_left=0.0,
                )
            for state in {"stopped", "failed"} & event.keys():
                self._change(state=state, message=event[state])

    def _change(self, **values: Any) -> None:
        self.progress = dataclasses.replace(self.progress, **values)


def _say_stop(process: "subprocess.Popen[str]") -> None:
    # It may have just ended by itself.
    with contextlib.suppress(OSError):
        if process.stdin:
            process.stdin.write("stop\n")
            process.stdin.flush()

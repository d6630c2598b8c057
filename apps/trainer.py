"""One training at a time, in a process that outlives the app."""

import dataclasses
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.comparison.plan import Plan
from keras_grow.files import write_atomically

from . import training_folders
from .lesson import METHODS
from .lesson import Lesson
from .training_status import Account
from .training_status import TrainingStatus
from .uploads import Rows

_LOOK = 0.3  # Seconds between two looks at what a process says.
_MIN_FREE = 1_000_000_000


class Busy(Exception):
    """A training is under way already."""


class Trainer:
    """Starts the one training there may be, watches and stops it.

    One that an earlier app has started, and that still runs, is taken over.
    Each run has a folder in `folder`. `finished` grows with every model that
    comes or goes, and every name.
    """

    def __init__(self, folder: Path, model: str, dtype: str) -> None:
        self.folder = folder
        self.model = model
        self.dtype = dtype
        self.finished = 0
        self._lock = threading.Lock()
        self._account: Account | None = None
        with self._lock:
            self._adopt()

    @property
    def status(self) -> TrainingStatus:
        """How the training stands now."""
        account = self._account
        return account.status(time.time()) if account else TrainingStatus()

    def start(
        self,
        lesson: Lesson,
        rows: Rows,
        owner: str,
        num_blocks: int = 0,
        name: str = "",
    ) -> str:
        """Begin, and return what the training is called.

        Without `name` that is the file's name and the method's. `num_blocks` is
        0 where it is not known yet.
        """
        with self._lock:
            self._refuse_second(owner)
            if lesson.grows_blocks and 0 < num_blocks < lesson.layers:
                raise ValueError(
                    f"The model has {num_blocks} blocks. Choose as many at "
                    f"most, or 0 for all. Received: {lesson.layers}."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
            if free < _MIN_FREE:
                raise OSError(
                    f"Only {free / 1e9:.1f} GB are free on the disk. Free "
                    "some, or delete a training."
                )
            stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
            own = self.folder / f"{lesson.method}_{stamp}"
            own.mkdir()
            wanted = name.strip() or f"{rows.name}, {METHODS[lesson.method]}"
            called = training_folders.free_name(self.folder, wanted)
            training_folders.write_note(
                own, training_folders.Note(called, owner)
            )
            plan = lesson.write(own, rows, self.model, self.dtype)
            with write_atomically(own / PLAN_FILE) as file:
                file.write(plan.to_json())
            self._begin(own, owner)
            return called

    def go_on(self, own: Path, owner: str) -> None:
        """Let a training that was interrupted go on from its checkpoint."""
        with self._lock:
            self._refuse_second(owner)
            (own / training_folders.STOP_FILE).unlink(missing_ok=True)
            note = training_folders.read_note(own)
            if note is not None:
                note = dataclasses.replace(note, owner=owner)
                training_folders.write_note(own, note)
            self._begin(own, owner)

    def stop(self, owner: str) -> str:
        """Ask the training to end and keep what was learned.

        Returns what to tell the visitor.
        """
        with self._lock:
            now = self.status
            if now.state != "running" or self._account is None:
                return "Nothing is being trained."
            if owner != now.owner:
                return "Only the visitor who started the training can stop it."
            self._account.stopping = True
            (self.folder / now.folder / training_folders.STOP_FILE).touch()
            return "Stopping; what was learned will be kept."

    def delete(self, own: Path) -> None:
        """Remove a training with its model, unless it is running."""
        with self._lock:
            now = self.status
            # Its process may not yet have come to where it says so itself.
            if now.state == "running" and now.folder == own.name:
                raise ValueError("It is running. Stop it first.")
            try:
                training_folders.delete(own)
            finally:
                self.say_changed()

    def say_changed(self) -> None:
        """Let pages look at the list of models anew."""
        self.finished += 1

    def _refuse_second(self, owner: str) -> None:
        if self.status.state != "running":
            self._adopt()
        now = self.status
        if now.state == "running":
            raise Busy(
                "A training is under way, started by "
                + ("you" if owner == now.owner else "another")
                + ". There is one at a time; you can compare meanwhile."
            )

    def _begin(self, own: Path, owner: str) -> None:
        worker = [sys.executable, "-m", "keras_grow.app.train_worker"]
        (own / training_folders.EVENTS_FILE).touch()
        start = (own / training_folders.EVENTS_FILE).stat().st_size
        with (own / training_folders.LOG_FILE).open("a") as log:
            process = subprocess.Popen(
                [*worker, os.fspath(own)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl+C ends the app, and not what it trains.
                start_new_session=True,
            )
        self._watch(own, owner, process, start)

    def _adopt(self) -> None:
        """Take over a training that an earlier app has started."""
        own = training_folders.running(self.folder)
        if own is None:
            return
        note = training_folders.read_note(own)
        self._watch(own, note.owner if note else "", None, 0)

    def _watch(
        self,
        own: Path,
        owner: str,
        process: "subprocess.Popen[bytes] | None",
        start: int,
    ) -> None:
        plan = Plan.load(own)
        ((method, seed),) = plan.runs
        run = RunFolder(own, method, seed)
        begun = TrainingStatus(
            "running",
            "Starting.",
            own.name,
            training_folders.name_of(own),
            owner,
            key=f"{own.name}/{run.path.name}",
        )
        account = Account(plan, begun)
        account.stopping = (own / training_folders.STOP_FILE).exists()
        self._account = account
        # What was said until now is known at once.
        start = self._take(account, own, start)
        threading.Thread(
            target=self._follow,
            args=[account, own, process, start],
            daemon=True,
        ).start()

    def _take(self, account: Account, own: Path, start: int) -> int:
        found, start = training_folders.read_events(own, start)
        for moment, event in found:
            account.take(moment, event)
            if account.status(moment).state == "done":
                self.say_changed()
        return start

    def _follow(
        self,
        account: Account,
        own: Path,
        process: "subprocess.Popen[bytes] | None",
        start: int,
    ) -> None:
        """Look at what a process says until it has ended."""
        ended = False
        while not ended:
            # Before the last look, or its last words might be missed.
            if process is None:
                ended = not training_folders.is_running(own)
            else:
                ended = process.poll() is not None
            start = self._take(account, own, start)
            if not ended:
                time.sleep(_LOOK)
        if account.status(time.time()).state == "running":
            code = process.returncode if process else None
            account.change(state="failed", message=why_ended(own, code))


def why_ended(own: Path, code: int | None) -> str:
    """What to say of a process that ended without a message.

    Its exit status is None where another app had started it.
    """
    go_on = " You can resume it from its last save under Trainings."
    memory = (
        "The system ends a program like this when memory runs out: choose "
        "fewer blocks, or close other programs."
    )
    if code == -9:
        return f"The system ended the training (signal 9). {memory}{go_on}"
    if code is None:
        return (
            "The training ended without a message: it was stopped, or the "
            f"machine was. {memory}{go_on}"
        )
    return (
        f"The training ended unexpectedly (exit status {code}). Its last "
        f"words: {training_folders.last_words(own)[:500]}"
    )

"""Trainings on disk: what belongs to one besides its comparison.

A training is a comparison of one method in a folder of its own, where its
process writes all that happens, so that an app can look on that did not start
it.
"""

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_grow.comparison.events import Event
from keras_grow.comparison.events import from_json
from keras_grow.comparison.layout import DONE_FILE
from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.files import only_one
from keras_grow.files import write_atomically

NOTE_FILE = "training.json"
EVENTS_FILE = "events.txt"
LOG_FILE = "log.txt"
STOP_FILE = "stop"
LOCK_FILE = "training.lock"
Timed = list[tuple[float, Event]]
_MAX_NAME = 80
_MAX_NOTES = 4000


@dataclass(frozen=True)
class Note:
    """What people say of a training: its name, who started it, notes."""

    name: str
    owner: str = ""
    notes: str = ""


def read_note(folder: Path) -> Note | None:
    """What is said of a training; None of a folder that is none."""
    try:
        values = json.loads((folder / NOTE_FILE).read_text("utf-8"))
        return Note(**{key: str(value) for key, value in values.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def write_note(folder: Path, note: Note) -> None:
    """Keep what is said of a training, its texts cut to a decent length."""
    kept = dataclasses.replace(
        note,
        name=note.name[:_MAX_NAME],
        notes=note.notes[:_MAX_NOTES],
    )
    with write_atomically(folder / NOTE_FILE) as file:
        json.dump(dataclasses.asdict(kept), file)


def name_of(folder: Path) -> str:
    """What a run is called: its training's name, else that of its folder."""
    note = read_note(folder)
    return note.name if note and note.name else folder.name


def all_of(made: Path) -> list[Path]:
    """Folders of all trainings, the newest first."""
    return newest_first(file.parent for file in made.glob(f"*/{NOTE_FILE}"))


def newest_first(folders: Iterable[Path]) -> list[Path]:
    """Folders by the time in their names, whatever was trained in them."""
    return sorted(folders, key=lambda f: f.name.rpartition("_20")[2])[::-1]


def find(made: Path, name: str | None) -> Path | None:
    """The training in the folder of this name: a name is never a path."""
    return next((f for f in all_of(made) if f.name == name), None)


def free_name(made: Path, wanted: str) -> str:
    """A name that no other training has: `wanted`, or with a number."""
    taken = {name_of(folder) for folder in all_of(made)}
    wanted = " ".join(wanted.split())[: _MAX_NAME - 5]
    number, name = 2, wanted
    while name in taken:
        name = f"{wanted} ({number})"
        number += 1
    return name


def is_running(folder: Path) -> bool:
    """Whether a process is at this training."""
    if not (folder / LOCK_FILE).exists():
        return False
    # Who else looks at the same moment holds the lock for that moment.
    try:
        with at_work(folder, patience=0.06):
            return False
    except BlockingIOError:
        return True


@contextlib.contextmanager
def at_work(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Be the process that is at this training.

    Whoever looks whether there is one holds the lock for a moment. A
    BlockingIOError says that it is held for longer than `patience`, in seconds.
    """
    deadline = time.monotonic() + patience
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(only_one(folder / LOCK_FILE))
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield


def running(made: Path) -> Path | None:
    """The training that a process is at, whichever app started it."""
    return next((f for f in all_of(made) if is_running(f)), None)


def is_done(folder: Path) -> bool:
    """Whether a training came to its end, or was stopped and kept."""
    return any(folder.glob(f"*/{DONE_FILE}"))


def can_go_on(folder: Path) -> bool:
    """Whether a training was begun and did not come to its end."""
    return (folder / PLAN_FILE).exists() and not is_done(folder)


def delete(folder: Path) -> None:
    """Remove a training with its model, unless it is running."""
    if is_running(folder):
        raise ValueError("It is running. Stop it first.")
    shutil.rmtree(folder)


def read_events(folder: Path, start: int = 0) -> tuple[Timed, int]:
    """What has happened in a training: pairs of time and event.

    `start` is where to go on reading; the new one is returned too.
    """
    found: Timed = []
    try:
        with (folder / EVENTS_FILE).open("rb") as file:
            file.seek(start)
            data = file.read()
    except OSError:
        return found, start
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        moment, _, text = line.partition(" ")
        try:
            found.append((float(moment), from_json(text)))
        except ValueError:
            continue  # Half a line, of a process that was killed.
    return found, start + len(whole)


def last_words(folder: Path) -> str:
    """The last line that a process wrote besides its events."""
    try:
        text = (folder / LOG_FILE).read_text("utf-8", "replace")
    except OSError:
        return ""
    return next((w for w in text.split("\n")[::-1] if w.strip()), "").strip()

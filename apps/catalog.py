"""What can answer: the base, models of finished runs, files, and mixes."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING
from typing import NamedTuple

from .runs import Entry
from .runs import Runs

if TYPE_CHECKING:
    from keras_grow.evaluation.stream import Together

BASE, MIXED, ROUTED = "base", "mixed", "routed"


class Unavailable(Exception):
    """A model cannot answer, with the reason in words for its visitor.

    `state` is "error", or "empty" where there is nothing to answer.
    """

    def __init__(self, message: str, state: str = "error") -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class Part:
    """What the page says of a model, with message and memory in words.

    `state` is "absent", "loading", "ready" or "failed".
    """

    state: str
    message: str
    memory: str = ""


@dataclass(frozen=True)
class Choice:
    """What answers in a pane.

    `key` is `BASE`, the key of an `Entry`, `MIXED` or `ROUTED`. `dials` are the
    scales of the growths that take part, by their keys.
    """

    key: str
    dials: Mapping[str, float] = field(default_factory=dict)


class Writing(NamedTuple):
    """Answers that are about to be written, and the names of their models."""

    whole: "Together"
    labels: list[str]


class Catalog:
    """Models by their keys, which is what the page sends.

    `uploads` are growth files that visitors brought, by key.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.uploads: dict[str, Path] = {}

    def first(self) -> list[str]:
        """Keys of what the panes have at first: base, tuned and grown."""
        found: dict[bool, Entry] = {}
        for entry in self.runs.entries():
            own = found.get(entry.is_grown)
            # The last growth of a plan is the one with the most to it.
            if own is None or (entry.is_grown and entry.folder == own.folder):
                found[entry.is_grown] = entry
        return [BASE, *(found[each].key for each in sorted(found))]

    @property
    def is_chat(self) -> bool:
        """Whether the name of the model says that it was made for chats."""
        name = self.runs.model.lower().replace("_", "-")
        return any(mark in name for mark in ("-it", "instruct", "chat"))

    def grown(self) -> dict[str, str]:
        """Labels of every growth that there is, by key."""
        found = {e.key: e.label for e in self.runs.entries() if e.is_grown}
        return found | {key: f.name for key, f in self.uploads.items()}

    def offered(self) -> list[tuple[str, str]]:
        """Labels and keys of all that can answer."""
        tuned = [(e.label, e.key) for e in self.runs.entries()
                 if not e.is_grown]  # fmt: skip
        grown = [(label, key) for key, label in self.grown().items()]
        several = [("Growths, mixed", MIXED), ("Growths, routed", ROUTED)]
        return [
            ("Base", BASE), *tuned, *grown, *(several if grown else [])
        ]  # fmt: skip

    def add_growth(self, key: str, file: Path) -> None:
        """Offer a growth file besides."""
        self.uploads[key] = file

    def label(self, key: str) -> str:
        """What people read for a key."""
        return next((n for n, own in self.offered() if own == key), key)

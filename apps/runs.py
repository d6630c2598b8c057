"""Finished runs on disk, as the app offers them.

Nothing here imports Keras: the first page must not wait for it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_grow.comparison.layout import DONE_FILE
from keras_grow.comparison.layout import GROWTH_FILE
from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.comparison.layout import RESULTS_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.comparison.layout import finished_runs
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.results import read_done
from keras_grow.comparison.results import read_results

from . import training_folders


@dataclass(frozen=True)
class Entry:
    """A model that a finished run made.

    `key` names it in the page, and `label` for people. `own` is the folder of
    the run in `folder`, that of the comparison. `method` is as the plan holds
    it.
    """

    key: str
    label: str
    folder: Path
    own: Path
    method: dict[str, Any]
    seed: int

    @property
    def growth_file(self) -> Path | None:
        """The growth file, where the run grew and left the base alone."""
        file = self.own / GROWTH_FILE
        return file if file.exists() else None

    @property
    def is_grown(self) -> bool:
        """Whether it shares its weights with the base."""
        return self.growth_file is not None


class Runs:
    """The run that the app was started on, and those it made itself.

    `given` is the folder of a comparison, resolved, or None. In `made` each run
    has a folder.
    """

    def __init__(
        self, given: Path | None, made: Path, model: str, dtype: str
    ) -> None:
        self.given = given
        self.made = made
        self.model = model
        self.dtype = dtype

    @classmethod
    def of(cls, target: str, made: str | os.PathLike[str]) -> "Runs":
        """Take a folder of a comparison, or the name of a model."""
        folder = Path(target).resolve()
        if not (folder / PLAN_FILE).exists():
            if folder.is_dir() and not any(folder.glob("*.json")):
                raise ValueError(
                    "Expected the folder of a comparison, which holds a "
                    f"{PLAN_FILE}, or a model. Received: {target!r}. "
                    "`keras-grow compare` and `make demo` make one."
                )
            return cls(None, Path(made), target, "float32")
        plan = Plan.load(folder)
        return cls(folder, Path(made), plan.model, plan.dtype)

    def folders(self) -> list[Path]:
        """Folders of comparisons with results: the given, then the newest."""
        found = [self.given] if self.given else []
        made = (file.parent for file in self.made.glob(f"*/{PLAN_FILE}"))
        for folder in training_folders.newest_first(made):
            plan = read_plan(folder)
            own = (self.model, self.dtype)
            fits = plan is not None and (plan.model, plan.dtype) == own
            if folder.resolve() == self.given:
                continue  # The app was started on a run that it made.
            if fits and training_folders.is_done(folder):
                found.append(folder)
        return [f for f in found if (f / RESULTS_FILE).exists()]

    def folder(self, name: str | None) -> Path | None:
        """The folder of `folders` that has this name, or None."""
        return next((f for f in self.folders() if f.name == name), None)

    def entries(self) -> list[Entry]:
        """Models of all finished runs that kept their weights."""
        found = []
        for folder in self.folders():
            plan = read_plan(folder)
            if plan is not None:
                kept = (
                    run
                    for run in finished_runs(folder, plan)
                    if run.growth or run.weights
                )
                found += [_entry(run, len(plan.seeds)) for run in kept]
        return found

    def entry(self, key: str | None) -> Entry | None:
        """The entry of this key, or None: a key is never taken as a path."""
        return next((e for e in self.entries() if e.key == key), None)


def read_plan(folder: Path) -> Plan | None:
    """The plan of a comparison, or None where there is none to read."""
    try:
        return Plan.load(folder)
    except (OSError, ValueError):
        return None


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of results, or none where they cannot be read."""
    try:
        return read_results(folder)
    except (OSError, ValueError):
        return []


def read_figures(folder: Path) -> list[tuple[Method, dict[str, float]]]:
    """What the finished runs of a comparison took, where it can be read.

    It is what `read_done` tells, and the seconds of an `update`.
    """
    plan, found = read_plan(folder), []
    if plan is None:
        return []
    for run in finished_runs(folder, plan):
        try:
            done = read_done(run.path / DONE_FILE)
        except (OSError, ValueError):
            continue
        made = done.get("stopped_after", plan.updates)
        found.append((run.method, {**done, "update": done["seconds"] / made}))
    return found


def _entry(run: RunFolder, seeds: int) -> Entry:
    folder, seed = run.comparison, run.seed
    label = run.method.name + (f", seed {seed}" if seeds > 1 else "")
    note = training_folders.read_note(folder)
    return Entry(
        f"{folder.name}/{run.path.name}",
        note.name if note and note.name else f"{label} ({folder.name})",
        folder,
        run.path,
        run.method.to_dict(),
        seed,
    )

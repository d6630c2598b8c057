"""Finished runs on disk, as the app offers them.

Nothing here imports Keras: the first page must not wait for it.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAN_FILE = "plan.json"
RESULTS_FILE = "results.jsonl"
DONE_FILE = "done.json"
GROWTH_FILE = "growth.grow.safetensors"
WEIGHTS_FILE = "weights.safetensors"


@dataclass(frozen=True)
class Entry:
    """A model that a finished run made.

    Attributes:
        key: what names it in the page.
        label: the same for people.
        folder: folder of the comparison.
        own: folder of the run in it.
        method: settings of its method, as the plan holds them.
        seed: its seed.
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

    Args:
        given: folder of a comparison, or None.
        made: folder of the runs that the app makes, one folder each.
        model: name of the base model.
        dtype: its dtype.
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
        """Take a folder of a comparison, or the name of a model.

        Args:
            target: either of them.
            made: folder of the runs that the app makes.

        Raises:
            ValueError: if a folder's plan cannot be read.
        """
        folder = Path(target).resolve()
        if not (folder / PLAN_FILE).exists():
            if folder.is_dir() and not any(folder.glob("*.json")):
                raise ValueError(
                    "Expected the folder of a comparison, which holds a "
                    f"{PLAN_FILE}, or a model. Received: {target!r}. "
                    "`keras-grow compare` and `make demo` make one."
                )
            return cls(None, Path(made), target, "float32")
        plan = read_plan(folder)
        if plan is None:
            raise ValueError(
                f"Expected a readable {PLAN_FILE}. Received: {target!r}"
            )
        return cls(folder, Path(made), plan["model"], plan["dtype"])

    def folders(self) -> list[Path]:
        """Folders of comparisons with results, the given one first."""
        made = sorted(self.made.glob(f"*/{PLAN_FILE}"), reverse=True)
        found = [self.given] if self.given else []
        given = self.given.resolve() if self.given else None
        for file in made:
            plan = read_plan(file.parent)
            fits = plan and (plan["model"], plan["dtype"]) == (
                self.model,
                self.dtype,
            )
            if file.parent.resolve() == given:
                continue  # The app was started on a run that it made.
            if fits and any(file.parent.glob(f"*/{DONE_FILE}")):
                found.append(file.parent)
        return [f for f in found if (f / RESULTS_FILE).exists()]

    def folder(self, name: str) -> Path | None:
        """The folder of `folders` that has this name, or None."""
        return next((f for f in self.folders() if f.name == name), None)

    def entries(self) -> list[Entry]:
        """Models of all finished runs that kept their weights."""
        found = []
        for folder in self.folders():
            plan = read_plan(folder) or {"methods": [], "seeds": []}
            for seed in plan["seeds"]:
                for method in plan["methods"]:
                    entry = _entry(folder, method, seed, len(plan["seeds"]))
                    kept = (GROWTH_FILE, WEIGHTS_FILE)
                    if (entry.own / DONE_FILE).exists() and any(
                        (entry.own / name).exists() for name in kept
                    ):
                        found.append(entry)
        return found

    def entry(self, key: str | None) -> Entry | None:
        """The entry of this key, or None: a key is never taken as a path."""
        return next((e for e in self.entries() if e.key == key), None)


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of a comparison, or None where there is none to read."""
    try:
        plan: dict[str, Any] = json.loads(
            (folder / PLAN_FILE).read_text("utf-8")
        )
        return (
            plan if {"model", "dtype", "methods", "seeds"} <= {*plan} else None
        )
    except (OSError, ValueError, TypeError):
        return None


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of results; of a step scored twice, the last. Half rows are left."""
    rows: dict[Any, dict[str, Any]] = {}
    try:
        text = (folder / RESULTS_FILE).read_text("utf-8")
    except OSError:
        return []
    for line in text.splitlines():
        try:
            row = json.loads(line)
            rows[row["method"], row["seed"], row["step"]] = row
        except (ValueError, KeyError, TypeError):
            continue
    return list(rows.values())


def _entry(
    folder: Path, method: dict[str, Any], seed: int, seeds: int
) -> Entry:
    # As keras_grow.comparison names the folder of a run.
    safe = "".join(
        c if c.isalnum() or c in "._-" else "_" for c in method["name"]
    )
    name = f"{safe}-seed{seed}"
    label = method["name"] + (f", seed {seed}" if seeds > 1 else "")
    return Entry(
        f"{folder.name}/{name}",
        f"{label} ({folder.name})",
        folder,
        folder / name,
        method,
        seed,
    )

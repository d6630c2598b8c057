"""How the folder of a comparison is laid out. Nothing here needs Keras."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_grow.comparison.method import Method
    from keras_grow.comparison.plan import Plan

# Of the comparison.
PLAN_FILE = "plan.json"
INPUTS_FILE = "inputs.json"
RESULTS_FILE = "results.jsonl"
SHARES_FILE = "shares.jsonl"
REPORT_FILE = "report.md"
# Of each run, in a folder of its own.
CHECKPOINT_FILE = "checkpoint.safetensors"
DONE_FILE = "done.json"
GROWTH_FILE = "growth.grow.safetensors"
LOCK_FILE = "lock"
WEIGHTS_FILE = "weights.safetensors"


def run_name(method: "Method", seed: int) -> str:
    """Folder name of the run of a method with a seed."""
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in method.name)
    return f"{safe}-seed{seed}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run in that of its comparison."""

    comparison: Path
    method: "Method"
    seed: int

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.comparison / run_name(self.method, self.seed)

    @property
    def is_done(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / DONE_FILE).exists()

    @property
    def growth(self) -> Path | None:
        """The growth file, where the run grew and left the base alone."""
        return self._kept(GROWTH_FILE)

    @property
    def weights(self) -> Path | None:
        """The weights, where the run changed those of the base."""
        return self._kept(WEIGHTS_FILE)

    def _kept(self, name: str) -> Path | None:
        file = self.path / name
        return file if file.exists() else None


def finished_runs(
    folder: str | os.PathLike[str], plan: "Plan"
) -> Iterator[RunFolder]:
    """The finished runs of a comparison, seeds outermost."""
    for method, seed in plan.runs:
        run = RunFolder(Path(folder), method, seed)
        if run.is_done:
            yield run

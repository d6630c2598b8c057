"""The rank of what changed between steps, layer by layer (Figure 5)."""

import csv
import dataclasses
import itertools
import json
import math
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.analysis.ranks import effective_rank
from keras_grow.analysis.ranks import stable_rank
from keras_grow.analysis.ranks import threshold_rank
from keras_grow.analysis.snapshots import snapshots_in
from keras_grow.files import write_atomically
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import read_json
from keras_grow.selection.kernels import Kernels
from keras_grow.selection.kernels import as_matrix
from keras_grow.selection.kernels import slots_of
from keras_grow.selection.sources import open_kernels
from keras_grow.selection.svd import singular_values

MEASURES = ("effective_rank", "stable_rank", "threshold_rank", "norm")
_MAX_BYTES = 1 << 26
_COUNT = partial(check_int, least=0)
_MEASURE = partial(check_float, least=0.0)
_COLUMNS: dict[str, Callable[[Any, str], Any]] = {
    "previous": _COUNT,
    "step": _COUNT,
    "block": _COUNT,
    "slot": check_text,
    "effective_rank": _MEASURE,
    "stable_rank": _MEASURE,
    "threshold_rank": _COUNT,
    "norm": _MEASURE,
}


@dataclass(frozen=True)
class ChangeOfKernel:
    """Measures of one kernel's change between the snapshots of two steps.

    `norm` is the Frobenius norm of the change.
    """

    previous: int
    step: int
    block: int
    slot: str
    effective_rank: float
    stable_rank: float
    threshold_rank: int
    norm: float


@dataclass(frozen=True)
class RankMap:
    """Ranks of `W_t - W_(t-1)` by step, block and kernel.

    Args:
        changes: one row for each step, block and kernel, with `previous`
            and `step`, `block`, `slot`, `effective_rank`, `stable_rank`,
            `threshold_rank` and `norm`, the Frobenius norm of the change.
        energy: the share of energy of `threshold_rank`.
        full_rank: the largest rank that the kernels could have.
    """

    changes: tuple[ChangeOfKernel, ...]
    energy: float
    full_rank: int

    def grid(
        self, measure: str = "effective_rank", slot: str | None = None
    ) -> NDArray[Any]:
        """One measure as an array of shape `(blocks, steps)`.

        Args:
            measure: one of `"effective_rank"`, `"stable_rank"`,
                `"threshold_rank"`, `"norm"`.
            slot: which kernel. Defaults to the mean over all of them.

        Raises:
            ValueError: if there is no such measure or kernel.
        """
        slots = {change.slot for change in self.changes}
        if measure not in MEASURES or (slot is not None and slot not in slots):
            raise ValueError(
                f"Expected a measure of {list(MEASURES)} and a slot of "
                f"{sorted(slots)}. Received: measure={measure!r}, "
                f"slot={slot!r}"
            )
        steps = self.steps
        blocks = sorted({change.block for change in self.changes})
        cells: dict[tuple[int, int], list[float]] = {}
        for change in self.changes:
            if slot in (None, change.slot):
                cells.setdefault((change.block, change.step), []).append(
                    getattr(change, measure)
                )
        return np.array([[np.mean(cells[b, s]) for s in steps] for b in blocks])

    @property
    def steps(self) -> list[int]:
        """The later step of each pair, ascending."""
        return sorted({change.step for change in self.changes})

    def plot(
        self,
        measure: str = "effective_rank",
        slot: str | None = None,
        ax: Any = None,
    ) -> Any:
        """Draw a heat map of blocks over steps, like the paper's Figure 5.

        Args:
            measure: see `grid`.
            slot: see `grid`.
            ax: matplotlib axes. Defaults to those of a new figure.

        Returns:
            The axes. Needs matplotlib (`pip install matplotlib`).
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").subplots()
        grid = self.grid(measure, slot)
        image = ax.imshow(grid, aspect="auto", origin="lower")
        ax.set_xticks(range(len(self.steps)), [str(s) for s in self.steps])
        ax.set_yticks(range(len(grid)))
        ax.set_xlabel("step")
        ax.set_ylabel("block")
        label = measure.replace("_", " ")
        if measure != "norm":
            label += f" (at most {self.full_rank})"
        ax.figure.colorbar(image, ax=ax, label=label)
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map to a `.json` file, or its rows to a `.csv` file.

        Raises:
            ValueError: if the name ends in something else.
        """
        name = os.fspath(path)
        rows = [dataclasses.asdict(change) for change in self.changes]
        if name.endswith(".json"):
            with write_atomically(name) as file:
                json.dump({**dataclasses.asdict(self), "changes": rows}, file)
        elif name.endswith(".csv"):
            with write_atomically(name) as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            raise ValueError(
                "Expected a file name that ends in `.json` or `.csv`. "
                f"Received: path={name!r}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RankMap":
        """Read a `.json` file that `save` wrote.

        Raises:
            ValueError: if the file holds something else.
        """
        what = "a `.json` file written by `RankMap.save`"
        values = read_json(path, what, _MAX_BYTES)
        with in_file(path):
            check_fields(values, what, ("changes", "energy", "full_rank"))
            rows = check_list(values["changes"], "changes", least=1)
            changes = []
            for number, row in enumerate(rows):
                where = f"changes[{number}]"
                check_fields(row, f"`{where}`", _COLUMNS)
                for name, check in _COLUMNS.items():
                    check(row[name], f"{where}.{name}")
                changes.append(ChangeOfKernel(**row))
            energy = check_float(values["energy"], "energy", 0.0)
            full_rank = check_int(values["full_rank"], "full_rank", 0)
            ranks = cls(tuple(changes), energy, full_rank)
            ranks._check_whole()
            return ranks

    def _check_whole(self) -> None:
        """Refuse a map in which a step lacks a block's kernel."""
        cells = {(c.step, c.block, c.slot) for c in self.changes}
        whole = [len(set(values)) for values in zip(*cells, strict=True)]
        if not len(self.changes) == len(cells) == math.prod(whole):
            raise ValueError(
                "Expected `changes` to have a row for each step, block and "
                f"kernel. Received: {len(self.changes)} rows for "
                f"{whole[0]} steps, {whole[1]} blocks and {whole[2]} kernels."
            )


def effective_rank_map(
    snapshots: str | os.PathLike[str] | Mapping[int, Any],
    over: str | Sequence[str] = "up",
    energy: float = 0.99,
) -> RankMap:
    """Measure the rank of the change of each kernel between snapshots.

    Section 4.4 of arXiv 2603.08647: tasks whose updates have a high effective
    rank in nearly all layers need more of them grown. A kernel of attention
    is a matrix with its heads side by side. Cost: the singular values of one
    kernel at a time, by LAPACK's SVD.

    Args:
        snapshots: the folder where `KernelSnapshots` wrote, or a mapping from
            steps to models or checkpoints in any form that `rank_layers`
            takes. At least two.
        over: which kernels. Defaults to `"up"`, the up-projections.
        energy: share of energy of the energy-threshold rank. Defaults to
            0.99.

    Returns:
        `RankMap`.

    Raises:
        ValueError: if there are fewer than two snapshots, a step is no int, or
            they differ in their blocks or shapes.

    Example:

    ```python
    from keras_grow.analysis import effective_rank_map

    ranks = effective_rank_map({0: "base.weights.h5", 500: "sft.weights.h5"})
    ranks.save("ranks.csv")
    ranks.plot().figure.savefig("ranks.png")
    ```
    """
    if not isinstance(snapshots, Mapping):
        snapshots = snapshots_in(snapshots)
    snapshots = {check_int(s, "step", 0): v for s, v in snapshots.items()}
    steps = sorted(snapshots)
    if len(steps) < 2:
        raise ValueError(
            f"Expected snapshots of at least two steps. Received: steps={steps}"
        )
    changes: list[ChangeOfKernel] = []
    full_rank = 0
    old = open_kernels(snapshots[steps[0]])
    for previous, step in itertools.pairwise(steps):
        new = open_kernels(snapshots[step])
        if old.num_blocks != new.num_blocks:
            raise ValueError(
                "Expected the same number of blocks at every step. Received: "
                f"{old.num_blocks} at {previous}, {new.num_blocks} at {step}"
            )
        for block in range(old.num_blocks):
            for slot in slots_of(old.family, over):
                delta = _change(old, new, block, slot)
                full_rank = max(full_rank, min(delta.shape))
                values = singular_values(delta)
                changes.append(
                    ChangeOfKernel(
                        previous,
                        step,
                        block,
                        slot,
                        effective_rank(values),
                        stable_rank(values),
                        threshold_rank(values, energy),
                        float(np.sqrt(np.sum(values**2))),
                    )
                )
        old = new
    return RankMap(tuple(changes), energy, full_rank)


def _change(old: Kernels, new: Kernels, block: int, slot: str) -> NDArray[Any]:
    before, after = old.read(block, slot), new.read(block, slot)
    if before.shape != after.shape:
        raise ValueError(
            "Expected kernels of one shape at every step. Received: "
            f"{before.shape} and {after.shape} at `{slot}` of block {block}"
        )
    delta: NDArray[Any] = np.subtract(after, before, dtype="float32")
    return as_matrix(delta, old.family, slot)

"""The committed rows of every run: packed, read, resampled."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_grow.comparison.front import forgetting
from keras_grow.comparison.front import forgetting_at
from keras_grow.comparison.intervals import ratio
from keras_grow.comparison.intervals import resamples

RESULTS = Path(__file__).parents[1] / "results"
NOT_METHODS = ("base", "routes")
LEFT_OUT = ("lambada_nll", "winogrande_nll")
SIZES = ("tuning", "validation", "captions", "wikitext")
DRAWS = 1000
# Kept of the change, where a run does not say.
SHARES = (0.25, 0.5, 0.75, 1.0)
Run = dict[str, Any]


def pack(folder: Path, runs: Path, tokens: Path) -> None:
    """Add the rows of runs to a file of each method; one of the base."""
    methods: dict[str, dict[str, Any]] = defaultdict(dict)
    for path in sorted(runs.glob("*-*-*.npz")):
        with np.load(path) as file:
            meta = json.loads(str(file["meta"]))
            key = f"{meta['rate']:g}-{meta['seed']}"
            for name in file.files:
                if name not in LEFT_OUT:
                    methods[meta["method"]][f"{key}/{name}"] = file[name]
    folder.mkdir(parents=True, exist_ok=True)
    for method, arrays in methods.items():
        path = folder / f"{method}.npz"
        if path.is_file():
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files} | arrays
        np.savez_compressed(path, **arrays)
    if (folder / "base.npz").is_file():
        return
    with np.load(runs / "base.npz") as file, np.load(tokens) as data:
        arrays = {n: file[n] for n in file.files if n not in LEFT_OUT}
        for name in SIZES:
            sizes = data[f"{name}_length"] - data[f"{name}_first"]
            arrays[f"{name}_tokens"] = sizes.astype(np.int16)
        arrays["wikitext_article"] = data["wikitext_article"]
        np.savez_compressed(folder / "base.npz", **arrays)


class Front:
    """Every score of every run, resampled with the same draws."""

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "base.npz") as file:
            self.base = {name: file[name] for name in file.files}
        self.runs: dict[str, dict[tuple[float, int], Run]] = {}
        for path in sorted(folder.glob("*.npz")):
            if path.stem not in NOT_METHODS:
                self.runs[path.stem] = _read(path)
        with np.load(folder / "routes.npz") as file:
            self.routes = {name: file[name] for name in file.files}
        self.draws = {
            name: resamples(len(self.base[f"{name}_tokens"]), DRAWS, seed)
            for seed, name in enumerate(SIZES)
        }
        self.draws["lambada"] = resamples(
            self.base["lambada_right"].shape[1], DRAWS, 10
        )
        self.draws["winogrande"] = resamples(
            self.base["winogrande_right"].shape[1], DRAWS, 11
        )
        self.curves: dict[Any, Any] = {}

    def curve(self, run: Run, name: str) -> tuple[Any, Any]:
        """Mean losses at shares 0 to 1, and resampled, a row per draw."""
        key = (id(run), name)
        if key not in self.curves:
            sizes = self.base[f"{name}_tokens"]
            totals = np.concatenate(
                [self.base[f"{name}_nll"], run[f"{name}_nll"]]
            )
            plain = totals.sum(axis=1) / sizes.sum()
            drawn = ratio(totals, sizes, self.draws[name]).T
            if name == "wikitext":
                plain = forgetting(plain, plain[0])
                drawn = forgetting(drawn, drawn[:, :1])
            self.curves[key] = (plain, drawn)
        return self.curves[key]

    def routed(self, run: Run, name: str, change: bool = False) -> Any:
        """A set's score with a router, and resampled.

        Args:
            run: a run; all of its change is kept.
            name: a set; of WikiText the forgetting is meant.
            change: the change from the base in place of the score.
        """
        sizes, base = self.base[f"{name}_tokens"], self.base[f"{name}_nll"][0]
        own = np.where(self.routes[name], run[f"{name}_nll"][-1], base)
        totals = np.stack([own, base])
        plain = totals.sum(axis=1) / sizes.sum()
        drawn = ratio(totals, sizes, self.draws[name])
        if name == "wikitext":
            return forgetting(plain, plain[1])[0], forgetting(*drawn)
        if change:
            return plain[0] - plain[1], drawn[0] - drawn[1]
        return plain[0], drawn[0]

    def gain(self, run: Run, name: str, at: int) -> Any:
        """Points of accuracy that each row of a set gains at a share."""
        right = run[f"{name}_right"][at].astype(float)
        return 100.0 * (right - self.base[f"{name}_right"][0])

    def mean(self, values: Any, name: str) -> tuple[float, Any]:
        """The mean over the rows of a set, and resampled."""
        drawn = ratio(values, np.ones(len(values)), self.draws[name])
        return float(values.mean()), drawn

    def best(self, method: str) -> tuple[float, Run]:
        """The rate that is best for the new task, and its run of seed 0."""
        sweep = self.sweep(method)
        rate = min(sweep, key=lambda rate: sweep[rate])
        return rate, self.runs[method][rate, 0]

    def chosen(self, method: str, read: Any, goal: float) -> float:
        """The rate that is best on the tuning rows, seed 0."""
        found = {}
        for (rate, seed), run in self.runs[method].items():
            if seed == 0:
                x, y = self.curve(run, "wikitext"), self.curve(run, "tuning")
                value = at_goal(read, x[0], y[0], goal)
                found[rate] = value if np.isfinite(value) else np.inf
        return min(found, key=lambda rate: found[rate])

    def value(
        self, method: str, read: Any, goal: float
    ) -> tuple[float, dict[int, Any]]:
        """The rate that is best; by seed, the value there and resampled."""
        rate = self.chosen(method, read, goal)
        found = {}
        for (other, seed), run in self.runs[method].items():
            if other == rate:
                x, y = (
                    self.curve(run, name) for name in ("wikitext", "validation")
                )
                drawn = [
                    at_goal(read, a, b, goal)
                    for a, b in zip(x[1], y[1], strict=True)
                ]
                found[seed] = at_goal(read, x[0], y[0], goal), np.array(drawn)
        return rate, found

    def sweep(self, method: str) -> dict[float, float]:
        """Lowest tuning loss over the shares, by rate, seed 0."""
        return {
            rate: float(self.curve(run, "tuning")[0].min())
            for (rate, seed), run in self.runs[method].items()
            if seed == 0
        }


def at_goal(read: Any, forgotten: Any, losses: Any, goal: float) -> float:
    """A reading of a curve; a gain is how far the loss is below the base's."""
    if read is forgetting_at:
        return float(read(forgotten, losses - losses[0], -goal))
    return float(read(forgotten, losses, goal))


def _read(path: Path) -> dict[tuple[float, int], Run]:
    runs: dict[tuple[float, int], Run] = defaultdict(dict)
    with np.load(path) as file:
        for name in file.files:
            key, _, score = name.partition("/")
            rate, _, seed = key.rpartition("-")
            value = file[name]
            runs[float(rate), int(seed)][score] = (
                json.loads(str(value)) if score == "meta" else value
            )
    return dict(sorted(runs.items()))

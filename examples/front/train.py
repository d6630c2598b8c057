"""All runs of one method: rates until the best is bracketed, then seeds.

    python examples/front/train.py sft --gguf FILE --tokens FILE --runs FOLDER

A run is a file, written whole or not at all; existing files are not run again.
Without `--gguf` a tiny random model is used.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import prepare
import scoring
from token_rows import read_tokens
from token_rows import training_rows

from keras_grow.selection.update import update_magnitude

BATCH = 8
CURVE = 100
# By what trains: the three rates that a method begins with.
RATES = {
    "sft": (1e-5, 2e-5, 4e-5),
    "sft_up": (1e-5, 2e-5, 4e-5),
    "g_freeze": (5e-5, 1e-4, 2e-4),
    "g_freeze_up": (5e-5, 1e-4, 2e-4),
    "zero_new": (5e-5, 1e-4, 2e-4),
    "g_train": (2e-5, 4e-5, 8e-5),
    "g_train_unequal": (2e-5, 4e-5, 8e-5),
    "lora": (2.5e-4, 5e-4, 1e-3),
}
FEWER_BLOCKS = (1e-4, 2e-4, 4e-4)
MOST_RATES = 8


def rates_of(method: str) -> tuple[float, ...]:
    """The three rates that a method begins with."""
    plain = prepare.METHODS[method.partition("+")[0]]
    return FEWER_BLOCKS if plain.layers else RATES[plain.kind]


def next_rate(tuning: dict[float, float]) -> float | None:
    """The neighbor that the best rate lacks; None if it has both."""
    best = min(tuning, key=lambda rate: tuning[rate])
    if len(tuning) >= MOST_RATES:
        return None
    if best == max(tuning):
        return float(f"{best * 2:.3g}")
    if best == min(tuning):
        return float(f"{best / 2:.3g}")
    return None


def rank(method: prepare.Trained, path: Path) -> None:
    """Write the blocks in the order of their MLPs' relative change."""
    kernels: dict[int, list[Any]] = {}
    for variable, old in zip(method.trained, method.start, strict=True):
        block, _, rest = variable.path.rpartition("decoder_block_")[
            2
        ].partition("/")
        if "ffw" in rest and "norm" not in rest:
            kernels.setdefault(int(block), []).append(
                (np.array(old), np.array(variable.value))
            )
    scores = {
        block: update_magnitude(pairs) for block, pairs in kernels.items()
    }
    best_first = sorted(scores, key=lambda block: -scores[block])
    _write(path, json.dumps({"order": best_first, "scores": scores}).encode())


class Runs:
    """The runs of one method in one process, compiled once."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.began = time.monotonic()
        self.longest = 0.0
        data = read_tokens(arguments.tokens, arguments.tiny_rows)
        ranking = self._ranking()
        self._say("loading")
        lm = prepare.base(arguments.gguf)
        self.method = prepare.Trained(
            arguments.method,
            lm,
            arguments.updates,
            ranking,
            training_rows(data),
            data["anchor_ids"],
        )
        self._say("prepared")
        self.scoring = scoring.Scoring(lm, data, arguments.sets)
        self.method.at(0.0, self.method.start)
        self.scoring.keep_base()
        base = arguments.runs / "base.npz"
        if not base.is_file():
            save(base, {"method": "base"}, _stack([self.scoring.run("base")]))
        self._say("ready")

    def run(self, rate: float, seed: int) -> float | None:
        """Train and score; the lowest tuning loss over the shares.

        Returns None where the time is over.
        """
        name = f"{self.arguments.method}-{rate:g}-{seed}.npz"
        path = self.arguments.runs / name
        if path.is_file():
            return _tuning(path)
        began = time.monotonic()
        if began + 1.3 * self.longest - self.began > self.arguments.seconds:
            return None
        method, updates = self.method, self.arguments.updates
        method.reset(rate, seed)
        curve, losses = [], []
        for start in range(0, updates, CURVE):
            stop = min(start + CURVE, updates)
            loss = method.train(BATCH, seed, start, stop)
            losses.append(round(loss, 4))
            found = self.scoring.run(method.state(1.0), ("tuning",))[
                "tuning_nll"
            ]
            curve.append(round(self._mean(found), 4))
            self._say(f"{name}: {stop} updates, tuning loss {curve[-1]}")
        trained = time.monotonic()
        ranking = self.arguments.runs / "ranking.json"
        if self.arguments.method == "sft" and not ranking.is_file():
            rank(method, ranking)
        tuned = [variable.value for variable in method.trained]
        scores = []
        for share in method.shares:
            method.at(share, tuned)
            scores.append(self.scoring.run(method.state(share)))
            self._say(f"{name}: scored at {share:g}")
        meta = {
            "method": self.arguments.method,
            "rate": rate,
            "seed": seed,
            "updates": updates,
            "shares": method.shares,
            "parameters": method.parameters,
            "tuning_curve": curve,
            "training_loss": losses,
            "training_seconds": round(trained - began, 1),
            "scoring_seconds": round(time.monotonic() - trained, 1),
            "device": jax.devices()[0].device_kind,
            "jax": jax.__version__,
            "keras": keras.__version__,
        }
        save(path, meta, _stack(scores))
        if self.longest:
            self.longest = max(self.longest, time.monotonic() - began)
        else:
            # The first compiles.
            self.longest = 1e-9
        self._say(f"{name} {curve} {time.monotonic() - began:.1f} s")
        return _tuning(path)

    def _mean(self, nll: np.ndarray) -> float:
        tokens = self.scoring.data["tuning_length"]
        tokens = tokens - self.scoring.data["tuning_first"]
        return float(nll.sum() / tokens.sum())

    def _ranking(self) -> list[int]:
        plain = self.arguments.method.partition("+")[0]
        if not prepare.METHODS[plain].layers:
            return []
        path = self.arguments.runs / "ranking.json"
        while not path.is_file():
            if time.monotonic() - self.began > self.arguments.seconds:
                raise SystemExit("no ranking: train sft first")
            time.sleep(1)
        return list(json.loads(path.read_text())["order"])

    def _say(self, text: str) -> None:
        seconds = time.monotonic() - self.began
        print(f"[{seconds:5.0f}] {self.arguments.method}: {text}", flush=True)


def _tuning(path: Path) -> float:
    with np.load(path) as file:
        # A run that diverged is the worst, and no number compares with it.
        loss = float(file["tuning_nll"].sum(axis=1).min())
    return loss if np.isfinite(loss) else np.inf


def _stack(scores: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        name: np.stack([score[name] for score in scores]) for name in scores[0]
    }


def save(
    path: Path, meta: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write arrays and what they are of, the whole file or nothing."""
    rounded = {
        name: np.round(array, 3).astype(np.float32)
        if np.issubdtype(array.dtype, np.floating)
        else array
        for name, array in arrays.items()
    }
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, meta=json.dumps(meta), **rounded)
    os.replace(part, path)


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    os.replace(part, path)


def main() -> None:
    """Run what is missing of one method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--best", type=int, default=2)
    parser.add_argument("--rates", type=float, nargs="*")
    parser.add_argument(
        "--only", nargs="*", metavar="RATE/SEED", help="these runs, no others"
    )
    parser.add_argument(
        "--sets", nargs="*", choices=scoring.SETS, default=scoring.SETS,
        help="what is scored; a front needs tuning, validation and wikitext",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--tiny-rows", type=int, default=0)
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    runs = Runs(arguments)
    for job in arguments.only or ():
        rate, _, seed = job.partition("/")
        if runs.run(float(rate), int(seed or 0)) is None:
            return
    if arguments.only:
        return
    tuning: dict[float, float] = {}
    waiting = list(arguments.rates or rates_of(arguments.method))
    while waiting:
        rate = waiting.pop(0)
        found = runs.run(rate, 0)
        if found is None:
            return
        tuning[rate] = found
        if not waiting and not arguments.rates:
            more = next_rate(tuning)
            waiting = [] if more is None else [more]
    order = sorted(tuning, key=lambda rate: tuning[rate])
    for rate in order[: arguments.best]:
        for seed in range(1, arguments.seeds):
            if runs.run(rate, seed) is None:
                return
    print(f"{arguments.method}: complete", flush=True)


if __name__ == "__main__":
    main()

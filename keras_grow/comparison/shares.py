"""How much a method learns and forgets at a share of its change.

A finished run is one point. Keeping a share of what it changed needs no
training and gives a curve, and methods should be compared by their curves: a
growth has its dial, LoRA scales its product, and the weights of any other
method lie on a line between before and after (WiSE-FT, arXiv 2109.01903).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.comparison.interpolation import between
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.results import append_line
from keras_grow.comparison.scores import Loss
from keras_grow.comparison.scores import Scores
from keras_grow.evaluation.results import Result
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import parse_json
from keras_grow.growth.scale import set_growths
from keras_grow.growth.state import ModelState
from keras_grow.loading.load import load_causal_lm
from keras_grow.saving.fingerprint import stored_array

SHARES_FILE = "shares.jsonl"
BASE = "base"
# A run, or the base; a seed; the share of its change that is kept.
Point = tuple[str, int, float]
_MOST = 1_000_000


@dataclass(frozen=True)
class Losses:
    """A loss for each example: what a mean and its interval are made of.

    Attributes:
        losses: negative log-likelihood of each example, in nats `[N]`.
        tokens: tokens of each example `[N]`.
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Nats per token."""
        return float(self.losses.sum() / self.tokens.sum())


class Change:
    """What a run changed in a model, of which a share can be kept.

    Args:
        lm: the trained model.
        plan: the comparison.
        method: the method of the run.
        seed: its seed.
    """

    def __init__(
        self, lm: keras.Model, plan: Plan, method: Method, seed: int
    ) -> None:
        self._lm = lm
        self._growth = grown_alone(lm)
        state = ModelState.of(lm)
        self._scales = state.scales if state.growths else {}
        slices = _slices(state, self._growth)
        self._moved = [
            weight
            for weight in lm.trainable_variables
            if not (self._growth and id(weight) in slices)
            and "lora_kernel_a" not in weight.name
        ]
        self._after = [stored_array(weight) for weight in self._moved]
        lora = all("lora_kernel_b" in weight.name for weight in self._moved)
        self._before = (
            [np.zeros_like(array) for array in self._after]
            if lora
            else _before(plan, method, seed, [w.path for w in self._moved])
        )

    def keep(self, share: float) -> None:
        """Let the model be the base plus `share` of what was changed."""
        if self._growth:
            set_growths(self._lm, {**self._scales, self._growth: share})
        for weight, before, after in zip(
            self._moved, self._before, self._after, strict=True
        ):
            weight.assign(between(before, after, share))


def grown_alone(lm: keras.Model) -> str | None:
    """The growth that holds all that trains, LoRA aside, if one does."""
    state = ModelState.of(lm)
    if not state.growths or state.training is None:
        return None
    others = {
        id(w) for w in lm.trainable_variables if "lora_kernel" not in w.name
    }
    alone = others and others <= _slices(state, state.training)
    return state.training if alone else None


def score_shares(
    folder: Path,
    plan: Plan,
    method: Method,
    seed: int,
    lm: Any,
    scores: Scores,
    known: Mapping[float, Mapping[str, Result]],
) -> None:
    """Score a trained model at every share of the plan, where it is missing.

    Args:
        folder: folder of the comparison.
        plan: the comparison.
        method: the method.
        seed: its seed.
        lm: the trained model, which ends as it was.
        scores: its scores.
        known: the results at shares that were scored already.
    """
    done = read_shares(folder) if (folder / SHARES_FILE).exists() else {}
    missing = [s for s in plan.shares if (method.name, seed, s) not in done]
    if not missing:
        return
    change = Change(lm, plan, method, seed)

    def score(share: float) -> dict[str, Loss]:
        found = known.get(share, {})
        losses = {n: r for n, r in found.items() if isinstance(r, Loss)}
        if losses:
            return losses
        change.keep(share)
        return scores.run_smooth()

    if (BASE, 0, 0.0) not in done:
        _append(folder, (BASE, 0, 0.0), score(0.0))
    for share in missing:
        found = score(share)
        _append(folder, (method.name, seed, share), found)
        figures = "  ".join(f"{n} {r.score:.4g}" for n, r in found.items())
        print(f"share {share:>6g}  {figures}", flush=True)
    change.keep(1.0)


def read_shares(folder: Path) -> dict[Point, dict[str, Losses]]:
    """Read what runs lose at shares of their change.

    Args:
        folder: folder of the comparison.

    Returns:
        The losses by point and by the name of the score. Half a line, of a
        write that was killed, is left out.

    Raises:
        ValueError: if a line says what no row does.
        OSError: if there are none.
    """
    path = folder / SHARES_FILE
    found: dict[Point, dict[str, Losses]] = {}
    with in_file(path):
        for line in path.read_text("utf-8").splitlines():
            try:
                row = parse_json(line, "a row", _MOST * 100)
            except ValueError as error:
                if isinstance(error.__cause__, json.JSONDecodeError):
                    continue  # A write that was killed.
                raise
            check_fields(row, "a row", ("method", "seed", "share", "losses"))
            point = (
                check_text(row["method"], "method"),
                check_int(row["seed"], "seed", 0),
                check_float(row["share"], "share", 0.0),
            )
            found[point] = {
                check_text(name, "a score"): _losses(values, name)
                for name, values in dict(row["losses"]).items()
            }
    return found


def _losses(values: Any, name: str) -> Losses:
    check_fields(values, f"`{name}`", ("losses", "tokens"))
    losses, tokens = (
        [
            check_float(value, f"{name}.{key}")
            for value in check_list(values[key], f"{name}.{key}", _MOST)
        ]
        for key in ("losses", "tokens")
    )
    if not losses or len(losses) != len(tokens):
        raise ValueError(
            f"Expected a loss and a number of tokens an example in `{name}`. "
            f"Received: {len(losses)} losses and {len(tokens)} numbers"
        )
    return Losses(np.array(losses), np.array(tokens))


def _append(folder: Path, point: Point, found: Mapping[str, Loss]) -> None:
    method, seed, share = point
    row = {
        "method": method,
        "seed": seed,
        "share": share,
        "losses": {
            name: {
                "losses": [round(loss, 4) for loss in result.losses],
                "tokens": list(result.token_counts),
            }
            for name, result in found.items()
        },
    }
    append_line(folder / SHARES_FILE, row)


def _slices(state: ModelState, name: str | None) -> set[int]:
    """Ids of the weights of a growth."""
    slices = state.slices(name) if name else []
    return {id(weight) for new in slices for weight in new.weights}


def _before(
    plan: Plan, method: Method, seed: int, paths: list[str]
) -> list[np.ndarray]:
    """What the weights of a run were before its first update."""
    keras.utils.set_random_seed(seed)
    lm = method.prepare(load_causal_lm(plan.model, plan.dtype))
    weights = {weight.path: weight for weight in lm.trainable_variables}
    return [stored_array(weights[path]) for path in paths]

"""How much a method learns and forgets at a share of its change.

A finished run is one point. Keeping a share of what it changed needs no
training and gives a curve, and methods should be compared by their curves: a
growth has its dial, LoRA scales its product, and the weights of any other
method lie on a line between before and after (WiSE-FT, arXiv 2109.01903), or
are pruned (FAPM, arXiv 2509.08255).
"""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Listener
from keras_grow.comparison.events import ShareScored
from keras_grow.comparison.interpolation import between
from keras_grow.comparison.layout import SHARES_FILE
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.pruning import keep_entries
from keras_grow.comparison.scores import Loss
from keras_grow.comparison.scores import Scores
from keras_grow.comparison.share_rows import BASE
from keras_grow.comparison.share_rows import append_share
from keras_grow.comparison.share_rows import read_shares
from keras_grow.evaluation.results import Result
from keras_grow.growth.scale import set_growths
from keras_grow.growth.state import ModelState
from keras_grow.loading.load import load_causal_lm
from keras_grow.saving.fingerprint import steady_paths
from keras_grow.saving.fingerprint import stored_array


class Change:
    """What a run changed in a model, of which a share can be kept."""

    def __init__(
        self, lm: keras.Model, plan: Plan, method: Method, seed: int
    ) -> None:
        self._lm = lm
        self._kept = keep_entries if method.prune else between
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
            else _before(lm, plan, method, seed, self._moved)
        )

    def keep(self, share: float) -> None:
        """Set the model to the base plus `share` of the change."""
        if self._growth:
            set_growths(self._lm, {**self._scales, self._growth: share})
        for weight, before, after in zip(
            self._moved, self._before, self._after, strict=True
        ):
            weight.assign(self._kept(before, after, share))


def grown_alone(lm: keras.Model) -> str | None:
    """The growth that holds all trainable weights, LoRA aside, if any."""
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
    on_event: Listener,
) -> None:
    """Score a trained model at every share of the plan not yet scored.

    The model is restored at the end. `known` are results that are not computed
    again.
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
        append_share(folder, (BASE, 0, 0.0), score(0.0))
    for number, share in enumerate(missing):
        on_event(Begun("measure", number, len(missing)))
        found = score(share)
        append_share(folder, (method.name, seed, share), found)
        on_event(ShareScored(share, {n: r.score for n, r in found.items()}))
    change.keep(1.0)


def _slices(state: ModelState, name: str | None) -> set[int]:
    """Ids of the weights of a growth."""
    slices = state.slices(name) if name else []
    return {id(weight) for new in slices for weight in new.weights}


def _before(
    lm: keras.Model,
    plan: Plan,
    method: Method,
    seed: int,
    moved: Sequence[keras.Variable],
) -> list[np.ndarray]:
    """What weights of a run were before its first update."""
    paths = steady_paths(lm, lm.trainable_variables)
    keras.utils.set_random_seed(seed)
    start = method.prepare(load_causal_lm(plan.model, plan.dtype))
    own = steady_paths(start, start.trainable_variables)
    weights = {own[id(weight)]: weight for weight in start.trainable_variables}
    return [stored_array(weights[paths[id(weight)]]) for weight in moved]

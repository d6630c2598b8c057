"""Scores of each example, on JAX: log-likelihood, greedy hits, KL from base.

The output head is applied only where a token is scored, one part at a time. The
base's predictions there are computed again from its kept hidden states, so the
divergence is over the whole vocabulary.
"""

import functools
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras_grow.training.head import OutputHead

BATCH = 32
PART = 512
# Few lengths, so that little is compiled.
WIDTHS = (48, 96, 160, 288)
SETS = (
    "tuning",
    "validation",
    "captions",
    "wikitext",
    "lambada",
    "winogrande",
)
# Sets whose divergence from the base is computed.
COMPARED = ("validation", "wikitext")


class Batch:
    """Rows of one padded length, and where in them tokens are scored."""

    def __init__(self, rows: np.ndarray, data: dict[str, np.ndarray]) -> None:
        lengths, firsts = data["length"][rows], data["first"][rows]
        longest = int(lengths.max())
        width = next((w for w in WIDTHS if w >= longest), longest)
        self.rows = rows
        self.ids = np.zeros((BATCH, width), np.int32)
        kept = min(width, data["ids"].shape[1])
        self.ids[: len(rows), :kept] = data["ids"][rows, :kept]
        self.mask = np.arange(width) < np.pad(
            lengths, (0, BATCH - len(rows)), constant_values=1
        ).reshape(-1, 1)
        scored = np.zeros((BATCH, width), bool)
        for at, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
            scored[at, first:length] = True
        self.owners, columns = np.nonzero(scored)
        pad = -len(self.owners) % PART
        # The token at a place is predicted one place before it.
        self.places, self.targets = (
            np.pad(found, (0, pad)).astype(np.int32).reshape(-1, PART)
            for found in (
                self.owners * width + columns - 1,
                self.ids[scored],
            )
        )
        self.base: list[Any] = []

    def summed(self, values: Any) -> np.ndarray:
        """A sum for each row of the values of its scored tokens."""
        kept = np.asarray(values, np.float64)[: len(self.owners)]
        return np.bincount(self.owners, kept, len(self.rows))


class Scoring:
    """Scores of one model, whatever its weights and its dial are.

    Args:
        lm: the model.
        data: what `encode.py` wrote.
        names: sets that are ever scored; by default, all.
    """

    def __init__(
        self,
        lm: Any,
        data: dict[str, np.ndarray],
        names: Sequence[str] = SETS,
    ) -> None:
        self.lm, self.head = lm, OutputHead(lm)
        self.variables = list(lm.variables)
        self.data = data
        self.batches: dict[str, list[Batch]] = {}
        for name in names:
            rows = {
                key: data[f"{name}_{key}"] for key in ("ids", "first", "length")
            }
            order = np.argsort(rows["length"], kind="stable")
            self.batches[name] = [
                Batch(order[at : at + BATCH], rows)
                for at in range(0, len(order), BATCH)
            ]
        self._hidden = jax.jit(self._hidden_states, static_argnums=0)
        self._pick = jax.jit(lambda hidden, at: jnp.take(hidden, at, axis=0))
        self._project = jax.jit(self._logprobs)
        self._compare = jax.jit(self._compared)

    def keep_base(self) -> None:
        """Remember what the model, which is the base now, predicts."""
        values = self._values()
        for name, batches in self.batches.items():
            for batch in batches if name in COMPARED else ():
                batch.base = self._states("base", values, batch)
        self.base_head = [jnp.array(v.value) for v in _variables_of(self.head)]

    def run(
        self, state: str, names: Iterable[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Sums over each row: `SET_nll`, some `SET_kl`, and `SET_right`.

        Args:
            state: what is traced apart: a growth at scale 0, 1 or between.
            names: sets to score; by default, those that are ever scored.
        """
        scores: dict[str, np.ndarray] = {}
        values = self._values()
        head = [variable.value for variable in _variables_of(self.head)]
        for name in names or self.batches:
            count = len(self.data[f"{name}_length"])
            nll, kl, wrong = (np.zeros(count) for _ in range(3))
            waiting = []
            for batch in self.batches[name]:
                states = self._states(state, values, batch)
                if name in COMPARED:
                    parts = zip(states, batch.base, batch.targets, strict=True)
                    waiting.append(
                        [self._compare(head, self.base_head, *p) for p in parts]
                    )
                else:
                    parts = zip(states, batch.targets, strict=True)
                    waiting.append([self._project(head, *p) for p in parts])
            for batch, found in zip(self.batches[name], waiting, strict=True):
                logprob, greedy, *divergence = (
                    np.concatenate(values)
                    for values in zip(*found, strict=True)
                )
                nll[batch.rows] = -batch.summed(logprob)
                wrong[batch.rows] = batch.summed(~greedy)
                if divergence:
                    kl[batch.rows] = batch.summed(divergence[0])
            scores[f"{name}_nll"] = nll
            if name in COMPARED:
                scores[f"{name}_kl"] = kl
            if name == "lambada":
                scores["lambada_right"] = wrong == 0
            if name == "winogrande":
                gold = self.data["winogrande_gold"]
                scores["winogrande_right"] = (
                    nll.reshape(-1, 2).argmin(axis=1) == gold
                )
        return scores

    def _states(self, state: str, values: Any, batch: Batch) -> list[Any]:
        hidden = self._hidden(state, values, batch.ids, batch.mask)
        return [self._pick(hidden, at) for at in batch.places]

    def _values(self) -> list[Any]:
        return [variable.value for variable in self.variables]

    def _hidden_states(
        self, state: str, values: Any, ids: Any, mask: Any
    ) -> Any:
        mapping = list(zip(self.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            hidden = self.lm.backbone({"token_ids": ids, "padding_mask": mask})
        return hidden.reshape(-1, hidden.shape[-1])

    def _logprobs(self, values: Any, hidden: Any, targets: Any) -> Any:
        return _chosen(self._log_softmax(values, hidden), targets)

    def _compared(
        self, values: Any, base: Any, hidden: Any, kept: Any, targets: Any
    ) -> Any:
        new = self._log_softmax(values, hidden)
        old = self._log_softmax(base, kept)
        divergence = jnp.sum(jnp.exp(old) * (old - new), axis=1)
        return *_chosen(new, targets), divergence

    def _log_softmax(self, weights: Any, rows: Any) -> Any:
        mapping = list(zip(_variables_of(self.head), weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            logits = self.head(rows)
        return jax.nn.log_softmax(logits.astype("float32"))


def _chosen(new: Any, targets: Any) -> Any:
    chosen = jnp.take_along_axis(new, targets[:, None], axis=1)[:, 0]
    return chosen, jnp.argmax(new, axis=1) == targets


@functools.cache
def _variables_of(head: OutputHead) -> tuple[Any, ...]:
    return (*head.trainable_variables, *head.non_trainable_variables)

"""Ranking by how far a preliminary SFT run moved each block's weights."""

import math
import os
import tempfile
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.selection.kernels import checked_norm
from keras_grow.selection.kernels import slots_of
from keras_grow.selection.kernels import squared_norm
from keras_grow.selection.layer_scores import LayerScores
from keras_grow.selection.sources import Source
from keras_grow.selection.sources import open_kernels
from keras_grow.selection.sources import save_kernels


def update_magnitude(
    pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]], relative: bool = True
) -> float:
    """Frobenius norm of the change of some kernels taken together.

    `sqrt(sum ||after - before||^2)`, over `sqrt(sum ||before||^2)` if
    `relative`. Sums are in float64.

    Args:
        pairs: `(before, after)` kernels of one block.
        relative: whether to divide by the norm before.

    Raises:
        ValueError: if the shapes differ, or `relative` would divide by a norm
            of 0.
    """
    moved = norm = 0.0
    for before, after in pairs:
        if before.shape != after.shape:
            raise ValueError(
                "Expected kernels of one shape before and after. "
                f"Received: {before.shape} and {after.shape}"
            )
        before = np.asarray(before, "float32")
        moved += squared_norm(np.asarray(after, "float32") - before)
        norm += squared_norm(before)
        # Freed before the next pair is read.
        del before, after
    if not relative:
        return math.sqrt(moved)
    return math.sqrt(moved / checked_norm(norm))


def rank_layers(
    before: Source,
    after: Source,
    over: Literal["mlp", "up", "all"] | Sequence[str] = "mlp",
    relative: bool = True,
) -> LayerScores:
    """Rank blocks by the magnitude of the weight updates of an SFT run.

    The score of a block is the Frobenius norm of the change of its MLP kernels,
    taken together, over their norm before. The MLP is scored because it is what
    grows. The change is relative because the norm layers around a Gemma MLP
    make its function depend on the change in proportion to the weights rather
    than on its absolute size, and because kernels differ in scale from block to
    block.

    Cost: the SFT run itself, then one pass over the kernels of both sides.
    Checkpoints on disk are read one kernel at a time: that takes memory for
    about three kernels in float32, whatever the size of the model.

    Implements section 4.2 of arXiv 2603.08647.

    Args:
        before: the model before the run: a KerasHub task or backbone, or the
            path of a `.weights.h5` or `.keras` file, of the `.json` index of
            a sharded checkpoint, or of a KerasHub preset folder.
        after: the model after the run, in any of these forms.
        over: `"mlp"` (default), `"up"`, `"all"` (MLP and attention), or
            attributes of a block such as `["attention.query_dense"]`.
        relative: bool. Whether to divide by the norm before. Defaults to
            `True`.

    Returns:
        `LayerScores` of all the blocks, best first.

    Raises:
        ValueError: if the two differ in their blocks or shapes, are grown or
            quantized, or hold no blocks of a known family.

    Example:
    ```python
    import keras_hub
    import keras_grow

    scores = keras_grow.rank_layers("base.weights.h5", "sft.weights.h5")
    print(scores)
    lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_1b")
    keras_grow.grow_model(lm, layers=scores.top(10))
    ```
    """
    old, new = open_kernels(before), open_kernels(after)
    slots = slots_of(old.family, over)
    if old.num_blocks != new.num_blocks:
        raise ValueError(
            "Expected the same number of blocks before and after. Received: "
            f"{old.num_blocks} ({old.name}) and {new.num_blocks} ({new.name})"
        )
    scores = []
    for block in range(old.num_blocks):
        pairs = ((old.read(block, s), new.read(block, s)) for s in slots)
        scores.append(update_magnitude(pairs, relative))
    measured = "Frobenius norm of the change of " + ", ".join(slots)
    if relative:
        measured += ", relative to the norm before"
    return LayerScores.ranked(scores, "update", measured)


class LayerUpdateRecorder(keras.callbacks.Callback):
    """Ranks blocks by how far `fit` moves their weights.

    The kernels before training are kept in a folder on disk, not in memory, and
    are compared with the model one kernel at a time at the end of every epoch.
    Cost: disk space for the kernels in float32, and reading them when `fit`
    begins and once per epoch. With `before` there is no copy: the checkpoint or
    preset that training started from is read instead.

    Args:
        before: what training starts from, see `rank_layers`. Defaults to
            `None`: the weights when `fit` begins.
        over: which kernels, see `rank_layers`. Defaults to `"mlp"`.
        relative: see `rank_layers`. Defaults to `True`.
        folder: where the snapshot is kept during `fit`. Defaults to the
            system's folder for temporary files.

    Attributes:
        history: the ranking at the end of every epoch of the last `fit`.

    Example:
    ```python
    from keras_grow.selection import LayerUpdateRecorder

    recorder = LayerUpdateRecorder()
    lm.fit(data, callbacks=[recorder])
    keras_grow.grow_model(base_lm, layers=recorder.scores.top(10))
    ```
    """

    def __init__(
        self,
        before: Source | None = None,
        over: Literal["mlp", "up", "all"] | Sequence[str] = "mlp",
        relative: bool = True,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.before = before
        self.over = over
        self.relative = relative
        self.folder = folder
        self.history: list[LayerScores] = []
        self._snapshot: tempfile.TemporaryDirectory[str] | None = None

    @property
    def scores(self) -> LayerScores:
        """The ranking at the end of the last epoch.

        Raises:
            ValueError: if no epoch has ended yet.
        """
        if not self.history:
            raise ValueError(
                "Expected an epoch of `fit` with this callback first. "
                "Received: no epoch"
            )
        return self.history[-1]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Keep the kernels as they are now; refuse what cannot be ranked."""
        self.history = []
        if self.before is None:
            self._snapshot = tempfile.TemporaryDirectory(
                prefix="layer_updates_", dir=self.folder
            )
            save_kernels(self.model, self._start(), self.over)
        self._rank()

    def on_epoch_end(
        self, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Rank the blocks by how far they have moved so far."""
        self.history.append(self._rank())

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Remove the snapshot; the rankings stay."""
        if self._snapshot is not None:
            self._snapshot.cleanup()
            self._snapshot = None

    def _rank(self) -> LayerScores:
        before = self._start() if self.before is None else self.before
        return rank_layers(before, self.model, self.over, self.relative)

    def _start(self) -> str:
        if self._snapshot is None:
            raise ValueError(
                "Expected `on_train_begin` first. Received: no snapshot"
            )
        return os.path.join(self._snapshot.name, "start")

"""A callback that keeps kernels at chosen steps of `fit`, on disk."""

import os
import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import keras

from keras_grow.files.checked_json import check_int
from keras_grow.selection.sources import read_all
from keras_grow.selection.sources import save_kernels


class KernelSnapshots(keras.callbacks.Callback):
    """Keeps the up-projections at chosen steps of a training run.

    Each step becomes a folder `step_00000100` of `.npy` files in float32,
    written one kernel at a time and visible only when complete. Nothing stays
    in memory. Steps are counted by the optimizer, so a run that is resumed with
    its optimizer continues the count; a step that is already on disk is not
    written again.

    Disk space: one copy of the kernels per step, 189 MB for the up-projections
    of Gemma 3 270M and 1.66 GB for those of Gemma 3 1B.

    Args:
        folder: where the steps go.
        steps: the steps to keep, 0 being the start. Defaults to `None`.
        every: instead of `steps`, keep step 0 and every `every`-th step.
        over: which kernels, see `rank_layers`. Defaults to `"up"`.

    Raises:
        ValueError: if neither or both of `steps` and `every` are given, or
            they are no ints.

    Example:

    ```python
    from keras_grow.analysis import KernelSnapshots, effective_rank_map

    lm.fit(data, callbacks=[KernelSnapshots("snapshots", every=100)])
    effective_rank_map("snapshots").plot()
    ```
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        steps: Iterable[int] | None = None,
        every: int | None = None,
        over: str | Sequence[str] = "up",
    ) -> None:
        super().__init__()
        if (steps is None) == (every is None):
            raise ValueError(
                "Expected either `steps` or `every`. "
                f"Received: steps={steps}, every={every}"
            )
        self.folder = os.fspath(folder)
        self.steps: frozenset[int] | None = None
        if steps is not None:
            self.steps = frozenset(check_int(s, "steps", 0) for s in steps)
        self.every = None if every is None else check_int(every, "every", 1)
        self.over = over
        self._last = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Keep the start, if it is a chosen step.

        A model whose kernels cannot be kept is refused now, not at that step.
        """
        read_all(self.model, self.over)
        self._last = self._count() - 1
        self._keep()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep the step, if it is chosen."""
        self._keep()

    def _count(self) -> int:
        # With loss scaling, the inner optimizer counts the steps, and leaves
        # out those whose gradients overflow.
        outer = self.model.optimizer
        return int(getattr(outer, "inner_optimizer", outer).iterations)

    def _keep(self) -> None:
        step = self._count()
        # With `steps_per_execution`, one call stands for several steps.
        passed = range(self._last + 1, step + 1)
        self._last = step
        if not any(self._is_chosen(s) for s in passed):
            return
        folder = os.path.join(self.folder, f"step_{step:08d}")
        if not os.path.exists(folder):
            save_kernels(self.model, folder, self.over)

    def _is_chosen(self, step: int) -> bool:
        if self.every is not None:
            return step % self.every == 0
        return self.steps is not None and step in self.steps


def snapshots_in(folder: str | os.PathLike[str]) -> dict[int, str]:
    """The steps that `KernelSnapshots` kept, ascending, with their paths."""
    found = {}
    for name in sorted(os.listdir(folder)):
        match = re.fullmatch(r"step_(\d+)", name)
        if match:
            found[int(match[1])] = os.path.join(os.fspath(folder), name)
    return found

"""Scores of a model while it trains."""

import time
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_grow.evaluation.results import Result
from keras_grow.files.checked_json import check_int

Score = Callable[[keras.Model], "float | Result"]


class EvaluateDuringFit(keras.callbacks.Callback):
    """Run scores at chosen steps of `fit` and write them into `logs`.

    The newest value of each score is in the logs at the end of every epoch, so
    that `EarlyStopping(monitor="retention", mode="max")` can watch for
    forgetting; place it before such callbacks in the list. Scores see the
    weights of the step at which they run, on every backend.

    Args:
        scores: for each name in the logs, a function of the model that is
            fitted, returning a number or a result. Build a `Scorer` once and
            close over it, so that nothing is compiled twice.
        every: an int to score every `every` steps (batches), or a collection of
            steps. Defaults to `None`: the ends of epochs alone.
        at_start: whether to score before the first step, as step 0. Defaults
            to `True`.
        on_result: function of each row of `history`, as it is made. Defaults
            to `None`.

    Attributes:
        history: rows `{"step", "name", "value", "seconds", "result"}`; the
            result is `to_dict()` of it, or `None` for a plain number.

    Raises:
        ValueError: if there are no scores, or `every` is not positive.

    Example:

    ```python
    from keras_grow.evaluation import (
        EvaluateDuringFit, Scorer, exact_match, multiple_choice,
    )

    scorer = Scorer(lm)
    watch = EvaluateDuringFit(
        {
            "retention": lambda _: multiple_choice(scorer, winogrande),
            "new_skill": lambda _: exact_match(scorer, task.validation),
        },
        every=100,
    )
    stop = keras.callbacks.EarlyStopping("retention", mode="max")
    lm.fit(x, y, sample_weight=w, callbacks=[watch, stop])
    ```
    """

    def __init__(
        self,
        scores: Mapping[str, Score],
        every: int | Collection[int] | None = None,
        at_start: bool = True,
        on_result: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        super().__init__()
        if not scores:
            raise ValueError("Expected at least one score. Received: scores={}")
        self.scores = dict(scores)
        self.every: int | frozenset[int] | None = None
        if isinstance(every, Collection):
            self.every = frozenset(check_int(s, "every", 1) for s in every)
        elif every is not None:
            self.every = check_int(every, "every", 1)
        self.at_start = at_start
        self.on_result = on_result
        self.history: list[dict[str, Any]] = []
        self._values: dict[str, float] = {}
        self._step = 0
        self._epoch_start = 0
        self._scored = -1

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Score the model as it is before the first step."""
        if self.at_start and self._step == 0:
            self._run()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Score if the steps just made include a chosen one."""
        # With steps_per_execution > 1, Keras calls once for several steps.
        first = self._step + 1
        self._step = self._epoch_start + batch + 1
        if self._is_due(first, self._step):
            self._run()
            if logs is not None:
                logs.update(self._values)

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Remember the step that the epoch starts from."""
        self._epoch_start = self._step

    def on_epoch_end(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Write the newest values into the epoch's logs."""
        if self.every is None:
            self._run()
        if logs is not None:
            logs.update(self._values)

    def _is_due(self, first: int, last: int) -> bool:
        if self.every is None:
            return False
        if isinstance(self.every, int):
            return last // self.every > (first - 1) // self.every
        return any(first <= step <= last for step in self.every)

    def _run(self) -> None:
        """Run every score once, unless this step has been scored."""
        if self._scored == self._step:
            return
        self._scored = self._step
        # On JAX this access brings the training state back into the model.
        model = self.model
        for name, score in self.scores.items():
            start = time.perf_counter()
            with _metrics_kept(model):
                result = score(model)
            if isinstance(result, Result):
                value, record = result.score, result.to_dict()
            else:
                value, record = float(result), None
            row = {
                "step": self._step,
                "name": name,
                "value": value,
                "seconds": time.perf_counter() - start,
                "result": record,
            }
            self._values[name] = value
            self.history.append(row)
            if self.on_result is not None:
                self.on_result(row)


@contextmanager
def _metrics_kept(model: keras.Model) -> Iterator[None]:
    """The epoch's means so far, which `model.evaluate` would start anew."""
    kept = [
        (variable, ops.convert_to_numpy(variable).copy())
        for metric in model.metrics
        for variable in metric.variables
    ]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)

"""One run of one method: train, score, and resume if it was killed."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from keras_grow.comparison import checkpoint
from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Listener
from keras_grow.comparison.events import Resumed
from keras_grow.comparison.events import Scored
from keras_grow.comparison.events import print_event
from keras_grow.comparison.inputs import check_inputs
from keras_grow.comparison.layout import CHECKPOINT_FILE
from keras_grow.comparison.layout import DONE_FILE
from keras_grow.comparison.layout import GROWTH_FILE
from keras_grow.comparison.layout import LOCK_FILE
from keras_grow.comparison.layout import RESULTS_FILE
from keras_grow.comparison.layout import WEIGHTS_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.comparison.method import Method
from keras_grow.comparison.method_training import prepare
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.results import append_result
from keras_grow.comparison.results import read_results
from keras_grow.comparison.scores import Scores
from keras_grow.comparison.shares import grown_alone
from keras_grow.comparison.shares import score_shares
from keras_grow.comparison.sweep import chosen_rate
from keras_grow.comparison.sweep import try_rate
from keras_grow.comparison.sweep import untried
from keras_grow.evaluation.results import Result
from keras_grow.files import only_one
from keras_grow.files import write_atomically
from keras_grow.loading.load import load_causal_lm
from keras_grow.saving.growth_file import load_growth
from keras_grow.saving.growth_file import save_growth


def run_method(
    folder: str | os.PathLike[str],
    method: Method,
    seed: int,
    *,
    on_event: Listener = print_event,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Train and score one method of a plan, in this process.

    Of several learning rates, those that were not tried yet are tried first.
    If it is killed, the same call resumes from the last checkpoint. `compare`
    runs each method in its own process, so that memory is freed between runs
    and the peak of each can be measured.

    Args:
        folder: folder of the comparison, which holds its plan.
        method: the method.
        seed: seed of the data order and of new weights.
        on_event: function that is called with each thing that happens, which
            has a `line` for people and `to_json()`. Defaults to printing it.
        should_stop: function called after each update. Once it returns true,
            the run ends early, and is scored and saved as a run of fewer
            updates. Defaults to never.

    Raises:
        RuntimeError: if another process is working on this run.
        OSError: if the folder cannot be written, or has too little room for
            checkpoints.

    Example:

    ```python
    from keras_grow.comparison import Plan, run_method

    plan = Plan.load("runs/french")
    for method, seed in plan.runs:
        run_method("runs/french", method, seed)
    ```
    """
    own = RunFolder(Path(folder), method, seed)
    own.path.mkdir(exist_ok=True)
    with _only_one(own.path):
        plan = Plan.load(own.comparison)
        check_inputs(plan, own.comparison)
        for rate in untried(own.comparison, method, plan.seeds[0]):
            try_rate(own.comparison, method, plan.seeds[0], rate, on_event)
        _Run(own, plan, on_event).go(should_stop)


class _Run:
    """A run under way."""

    def __init__(self, own: RunFolder, plan: Plan, on_event: Listener) -> None:
        self.own = own
        self.say = on_event
        self.plan = plan
        on_event(Begun("load"))
        task = plan.load_task()
        self.rate = chosen_rate(own.comparison, own.method, plan.seeds[0])
        self.training = prepare(
            plan, own.method, self.rate, own.seed, task.train
        )
        if self.training.shortened:
            on_event(self.training.shortened)
        self.lm = self.training.lm
        checkpoint.check_room(own.path, self.lm)
        self.scores = Scores(self.lm, plan, task)
        self.saved = own.path / CHECKPOINT_FILE
        self.state = checkpoint.RunState()
        # Results at shares of the change: 0 is the base.
        self.known: dict[float, dict[str, Result]] = {}

    def go(self, should_stop: Callable[[], bool]) -> None:
        """Train to the end, or until `should_stop` is true."""
        if self.saved.exists() or not should_stop():
            self._begin()
        for stop in [s for s in self.plan.steps if s > self.state.step]:
            if should_stop():
                break
            self._train(stop, should_stop)
        step = self.state.step
        stopped = step < self.plan.updates
        if step:
            if not stopped:
                score_shares(
                    self.own.comparison,
                    self.plan,
                    self.own.method,
                    self.own.seed,
                    self.lm,
                    self.scores,
                    self.known,
                    self.say,
                )
            self._finish(stopped)
        self.say(Ended(step, stopped))

    def _begin(self) -> None:
        """Resume from a checkpoint, or score the base."""
        if self.saved.exists():
            self.state = checkpoint.load_checkpoint(
                self.lm, self.saved, self.plan.updates
            )
            self.say(Resumed(self.state.step))
            return
        # No method changes the function before it trains.
        start = _base(self.own.comparison)
        if not start:
            start = self.known[0.0] = self.scores.run(self.say)
        self._write(0, start, {})

    def _train(self, stop: int, should_stop: Callable[[], bool]) -> None:
        """Make updates up to `stop`, score, and keep a checkpoint."""
        self.say(Begun("train"))
        began = time.perf_counter()
        before = self.state.step
        step, loss = self.training.update(before, stop, self.say, should_stop)
        elapsed = time.perf_counter() - began
        extra = {
            "training_loss": loss,
            "seconds_a_step": elapsed / (step - before),
        }
        self.known[1.0] = self.scores.run(self.say)
        self._write(step, self.known[1.0], extra)
        self.state = checkpoint.RunState(
            step,
            self.state.seconds + elapsed,
            max(self.state.peak_bytes, peak_bytes()),
        )
        self.say(Begun("save"))
        checkpoint.save_checkpoint(
            self.lm, self.saved, self.state, self.plan.updates
        )

    def _write(
        self, step: int, results: dict[str, Result], extra: dict[str, float]
    ) -> None:
        """Append one row to the results, and report it."""
        own = self.own
        row = append_result(
            own.comparison, own.method, own.seed, step, results, extra
        )
        self.say(Scored(row))

    def _finish(self, stopped: bool) -> None:
        """Save what the run learned, and mark it on disk as done."""
        self.say(Begun("save"))
        if self.plan.keep_weights:
            _keep(self.lm, self.own.path)
        weights = self.lm.trainable_variables
        done = {
            "learning_rate": self.rate,
            "trainable_parameters": sum(
                int(np.prod(weight.shape)) for weight in weights
            ),
            "seconds": self.state.seconds,
            "peak_bytes": self.state.peak_bytes,
        }
        if stopped:
            done["stopped_after"] = self.state.step
        with write_atomically(self.own.path / DONE_FILE) as written:
            json.dump(done, written)
        self.saved.unlink()


def load_run(
    folder: str | os.PathLike[str], method: Method | None = None, seed: int = 0
) -> keras.Model:
    """Load the model that a finished run made.

    Args:
        folder: folder of the comparison.
        method: one of its methods; None for the base model.
        seed: one of its seeds.

    Returns:
        A KerasHub `CausalLM`; for a grown one the base is inside, see
        `growth_disabled`.

    Raises:
        FileNotFoundError: if the run is not finished or kept no weights.
    """
    folder = Path(folder)
    plan = Plan.load(folder)
    lm = load_causal_lm(plan.model, plan.dtype)
    if method is None:
        return lm
    own = RunFolder(folder, method, seed)
    if own.growth:
        return load_growth(lm, own.growth)
    lm = method.prepare(lm)
    checkpoint.load_weights(lm, own.path / WEIGHTS_FILE)
    return lm


def peak_bytes() -> int:
    """Peak resident memory of this process, in bytes; 0 on Windows."""
    try:
        import resource
    except ImportError:  # Python has it on Unix alone.
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _keep(lm: keras.Model, own: Path) -> None:
    """Save what was learned: a growth file where the base is untouched."""
    if grown_alone(lm):
        save_growth(lm, own / GROWTH_FILE)
    else:
        checkpoint.save_weights(lm, own / WEIGHTS_FILE)


@contextlib.contextmanager
def _only_one(own: Path) -> Iterator[None]:
    """Hold a run's folder for this process; drop what a killed one left.

    The same comparison may have been started twice.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(only_one(own / LOCK_FILE))
        except BlockingIOError as error:
            raise RuntimeError(
                "Expected a run that no other process is training. Received: "
                f"{os.fspath(own)!r}, which another one is training. Wait for "
                "it, or end it."
            ) from error
        for part in own.glob("*.part"):
            shutil.rmtree(part)
        yield


def _base(folder: Path) -> dict[str, Result]:
    """The scores of the base model, if a run has taken them."""
    if not (folder / RESULTS_FILE).exists():
        return {}
    for row in read_results(folder):
        if row["step"] == 0:
            return {
                name: Result(values["metric"], row["scores"][name], values["n"])
                for name, values in row["details"].items()
            }
    return {}

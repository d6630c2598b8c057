"""The process that trains: `python -m keras_grow.app.train_worker FOLDER`.

It prints a line of JSON for everything that the page shows; what Keras and
others print goes to its standard error. Told to stop on its standard input, or
left alone by an app that was killed, it ends after the update under way and
keeps what was learned.
"""

import contextlib
import dataclasses
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import keras

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import write_report
from keras_grow.comparison.checkpoint import Progress
from keras_grow.comparison.plan import PLAN_FILE
from keras_grow.comparison.plan import run_name
from keras_grow.comparison.results import append_result
from keras_grow.comparison.run import finish
from keras_grow.comparison.run import peak_bytes
from keras_grow.comparison.scores import Scores
from keras_grow.comparison.training import Training
from keras_grow.comparison.training import prepare
from keras_grow.files import write_atomically
from keras_grow.tasks import Example
from keras_grow.tasks import encode
from keras_grow.tasks import load_task

Examples = tuple[Example, ...]
_EVALUATIONS = 4
_EXAMPLES = 32
_GENERATED = 8


class Watch(keras.callbacks.Callback):
    """Says the loss of every update, and ends `fit` when told to stop.

    Args:
        stop: set from outside to end.

    Attributes:
        step: updates made.
        loss: of the last of them.
        seconds: that they took.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.stop = stop
        self.step = 0
        self.loss = 0.0
        self.seconds = 0.0
        self._start = 0.0
        self._sum = 0.0

    def on_epoch_begin(
        self, epoch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Forget the mean of the previous `fit`."""
        self._sum = 0.0

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Note the time."""
        self._start = time.monotonic()

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        """Say the loss of this update alone: Keras gives the running mean."""
        self.step += 1
        total = float((logs or {})["loss"]) * (batch + 1)
        self.loss, self._sum = total - self._sum, total
        elapsed = time.monotonic() - self._start
        self.seconds += elapsed
        say(step=self.step, loss=self.loss, seconds=elapsed)
        if self.stop.is_set():
            self.model.stop_training = True


def say(**event: Any) -> None:
    """Print an event as a line of JSON, unless nobody is there to read it."""
    try:
        print(json.dumps(event), file=sys.__stdout__, flush=True)
    except BrokenPipeError:
        # The app was killed; what is learned is kept all the same.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def train(folder: Path, stop: threading.Event) -> None:
    """Train what `lesson.json` in `folder` asks for.

    Args:
        folder: folder of the run, which becomes one of a comparison.
        stop: set from outside to end early.
    """
    lesson = json.loads((folder / "lesson.json").read_text("utf-8"))
    method = Method(
        f"{lesson['method']}, trained in the app",
        lesson["method"],
        lesson["learning_rate"],
        warmup=min(5, lesson["updates"] // 4),
        layers=lesson["layers"] or None,
        factor=lesson["factor"],
        anchor=1.0 if lesson["anchored"] else 0.0,
    )
    task = load_task(lesson["task"])
    plan = Plan(
        model=lesson["model"],
        task=lesson["task"],
        methods=(method,),
        retention=(lesson["retention"],),
        anchor=lesson["anchor"] if lesson["anchored"] else None,
        updates=lesson["updates"],
        batch_size=lesson["batch_size"],
        sequence_length=lesson["sequence_length"],
        too_long=_too_long(task.train, lesson["sequence_length"]),
        evaluations=_EVALUATIONS,
        examples=_EXAMPLES,
        generated=_GENERATED,
        dtype=lesson["dtype"],
        shares=(),
    )
    say(phase="Loading the model.")
    training = prepare(plan, method, lesson["learning_rate"], 0, task.train)
    say(cut=_cut(plan, training, task.train))
    scores = Scores(training.lm, plan, task)
    watch = Watch(stop)
    training.callbacks.append(watch)
    scored = -1
    say(phase="Measuring the base.")
    if not stop.is_set():
        _write(folder, method, watch, scores)
    for last in plan.steps[1:]:
        if stop.is_set():
            break
        say(phase="Training.")
        training.update(watch.step, last)
        if not stop.is_set():
            say(phase="Measuring new skill and old.")
            _write(folder, method, watch, scores)
            scored = watch.step
    if watch.step == 0:
        say(stopped="Stopped before the first update: nothing was learned.")
        return
    # A stop while it was being measured has let that come to its end.
    if scored != watch.step:
        say(phase="Measuring once more, then keeping it.")
        _write(folder, method, watch, scores)
    _keep(folder, plan, method, training.lm, watch)


def _too_long(examples: Examples, length: int | None) -> str:
    """Cut prompts where every answer is sure to fit, else leave rows out."""
    # A token stands for a byte at the least.
    answers = max(len(each.response.encode()) for each in examples)
    return "cut_prompt" if length is None or answers < length else "leave_out"


def _cut(plan: Plan, training: Training, examples: Examples) -> str:
    """Which rows were cut or left out, in words for the page."""
    if plan.sequence_length is None:
        return ""
    found = encode(
        examples,
        training.lm.preprocessor.tokenizer,
        plan.sequence_length,
        plan.too_long,
    )
    if not found.cut_prompts and not found.left_out:
        return ""
    return (
        f"Of {len(examples):,} rows, {found.cut_prompts:,} lost the beginning "
        f"of their prompt and {found.left_out:,} were left out: they have "
        f"more than {plan.sequence_length} tokens."
    )


def _write(folder: Path, method: Method, watch: Watch, scores: Scores) -> None:
    """Score, and add a row to the results."""
    costs = {
        "training_loss": watch.loss,
        "seconds_a_step": watch.seconds / max(watch.step, 1),
    }
    row = append_result(folder, method, 0, watch.step, scores.run(), costs)
    say(row=row)


def _keep(
    folder: Path,
    plan: Plan,
    method: Method,
    lm: keras.Model,
    watch: Watch,
) -> None:
    """Save what was learned as the run of a finished comparison."""
    say(phase="Saving.")
    own = folder / run_name(method, 0)
    own.mkdir()
    step = watch.step
    # A run that was stopped is a whole run of fewer updates.
    made = dataclasses.replace(
        plan, updates=step, evaluations=min(plan.evaluations, step)
    )
    with write_atomically(folder / PLAN_FILE) as file:
        file.write(made.to_json())
    rate = method.learning_rates[0]
    finish(own, lm, rate, Progress(step, watch.seconds, peak_bytes()))
    write_report(folder)
    words = "Done" if step == plan.updates else f"Stopped after {step} updates"
    say(
        done=f"{folder.name}/{own.name}",
        message=f"{words}. The model is kept and can be compared.",
    )


def _listen(stop: threading.Event) -> None:
    """Set `stop` at a line of the app, or when the app is gone."""
    sys.stdin.readline()
    stop.set()


def main() -> None:
    """Train in the folder that the command line names."""
    stop = threading.Event()
    threading.Thread(target=_listen, args=[stop], daemon=True).start()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            train(Path(sys.argv[1]), stop)
    except Exception as error:  # The page says it, whatever it is.
        traceback.print_exc()
        say(failed=f"The training failed. {error}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()

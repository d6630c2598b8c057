"""How a training stands, out of what its process says."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Event
from keras_grow.comparison.events import Failed
from keras_grow.comparison.events import Resumed
from keras_grow.comparison.events import Scored
from keras_grow.comparison.events import Shortened
from keras_grow.comparison.events import Updated
from keras_grow.comparison.plan import Plan

_PHASES = {
    "load": "Loading the model.",
    "train": "Training.",
    "save": "Saving.",
}


@dataclass(frozen=True)
class TrainingStatus:
    """How the training stands.

    `state` is "idle", "running", "done", "stopped" before anything was learned,
    or "failed". `phase`, `cut` (which rows were cut or left out) and `message`
    (how it ended) are in words. `folder` is the name of its folder, `owner` the
    visitor who started it. `losses` are pairs of update and training loss,
    `rows` the scores so far, as rows of `results.jsonl`. `key` is the finished
    model's entry.
    """

    state: str = "idle"
    phase: str = ""
    folder: str = ""
    name: str = ""
    owner: str = ""
    step: int = 0
    updates: int = 0
    losses: tuple[tuple[int, float], ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    seconds_left: float | None = None
    cut: str = ""
    message: str = ""
    key: str = ""


class Clock:
    """What the parts of a training take, measurements too.

    A training makes updates, pauses to be measured and saved, and goes on. So
    the time left is that of the updates and that of the pauses to come.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.step = 0
        self.startup: float | None = None
        self.update: float | None = None
        self.pause: float | None = None
        self._began: float | None = None
        self._told = 0
        self._paused: float | None = None
        self._pauses = 0

    def take(self, time: float, event: Event) -> None:
        """Note an event of a time."""
        if self._began is None:
            self._began = self._paused = time
        if isinstance(event, Resumed):
            self.step = event.step
            self._pauses = sum(0 < s <= event.step for s in self.plan.steps)
        if isinstance(event, Begun):
            if event.part == "measure" and self._paused is None:
                self._paused = time
            if event.part == "train" and self._paused is not None:
                pause, self._paused = time - self._paused, None
                if self._told:
                    self.pause = pause
                    self._pauses += 1
                else:
                    # With the base's scores, and what they compile.
                    self.startup = pause
        if isinstance(event, Updated):
            # The first ones have waited for their program to be compiled.
            self._told += 1
            if self._told < 3 or self.update is None:
                self.update = event.seconds
            else:
                self.update += 0.2 * (event.seconds - self.update)
            self.step = event.step

    def left(self, now: float) -> float | None:
        """Seconds to the end, or None before the first updates."""
        if self.update is None or self.startup is None:
            return None
        pauses = len(self.plan.steps) - 1 - self._pauses
        # Before the first pause: the base took as long, or longer.
        each = self.startup if self.pause is None else self.pause
        spent = 0.0
        if self._paused is not None and pauses > 0:
            spent = min(now - self._paused, each)
        updates = max(self.plan.updates - self.step, 0)
        return updates * self.update + pauses * each - spent


class Account:
    """What is known of one training."""

    def __init__(self, plan: Plan, status: TrainingStatus) -> None:
        self.clock = Clock(plan)
        self._status = dataclasses.replace(status, updates=plan.updates)
        self.stopping = False

    def status(self, now: float) -> TrainingStatus:
        """How the training stands at a time."""
        found = self._status
        if found.state != "running":
            return found
        left = None if self.stopping else self.clock.left(now)
        phase = found.phase
        if self.stopping:
            phase = f"Stopping after this update. {phase}"
        return dataclasses.replace(found, seconds_left=left, phase=phase)

    def take(self, time: float, event: Event) -> None:
        """Note an event of a time."""
        self.clock.take(time, event)
        now = self._status
        match event:
            case Begun(part, done, pieces):
                words = _PHASES.get(
                    part, f"Measuring new skill and old: {done} of {pieces}."
                )
                self.change(phase=words)
            case Shortened(examples, cut_prompts, left_out, tokens):
                self.change(
                    cut=f"Of {examples:,} rows, {cut_prompts:,} lost the "
                    f"beginning of their prompt and {left_out:,} were left "
                    f"out: they have more than {tokens} tokens."
                )
            case Resumed(step):
                self.change(step=step)
            case Updated(step, loss, _):
                self.change(step=step, losses=(*now.losses, (step, loss)))
            case Scored(row):
                rows = {each["step"]: each for each in now.rows}
                rows[row["step"]] = row
                self.change(rows=tuple(rows.values()))
            case Failed(words):
                self.change(
                    state="failed", message=f"The training failed. {words}"
                )
            case Ended(0, _):
                self.change(
                    state="stopped",
                    message="Stopped before the first update: nothing was "
                    "learned.",
                )
            case Ended(step, stopped):
                words = f"Stopped after {step} updates" if stopped else "Done"
                self.change(
                    state="done",
                    message=f"{words}. {now.name} is kept and can be compared.",
                )

    def change(self, **values: Any) -> None:
        """Say what else is known."""
        self._status = dataclasses.replace(self._status, **values)

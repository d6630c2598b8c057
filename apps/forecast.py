"""What a training will take, before it starts: from those that came before."""

from dataclasses import dataclass
from pathlib import Path

from keras_grow.comparison.layout import DONE_FILE
from keras_grow.comparison.layout import finished_runs
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.results import read_done

from . import training_folders
from .lesson import BATCH
from .lesson import EVALUATIONS
from .lesson import METHODS
from .lesson import Lesson
from .runs import Runs
from .runs import read_plan
from .training_status import Clock
from .uploads import Rows


@dataclass(frozen=True)
class Measured:
    """What an earlier training of the same base has taken here.

    `update` is in seconds per update of `BATCH` rows, `startup` in seconds
    until the first update and `pause` in seconds of a measurement; 0 if not
    known. `bytes` is the most memory that it held. `kind` is a key of `KINDS`.
    """

    kind: str
    update: float
    startup: float = 0.0
    pause: float = 0.0
    bytes: int = 0


def sentence(lesson: Lesson, rows: Rows, runs: Runs) -> str:
    """Passes, time and memory of a training to come, from the earlier ones."""
    passes = lesson.updates * BATCH / rows.learned
    noun = "pass" if round(passes, 1) == 1 else "passes"
    words = f"{passes:.1f}".removesuffix(".0")
    begin = f"{words} {noun} over {rows.learned:,} rows"
    found = measured(lesson, runs)
    if found is None:
        return (
            f"{begin}. How long that takes is known after its first updates: "
            "nothing was trained here yet."
        )
    evaluations = min(EVALUATIONS, lesson.updates)
    seconds = (
        found.startup
        + lesson.updates * found.update
        + evaluations * found.pause
    )
    besides = "" if found.pause else " and some measurements"
    about = f"{begin}, about {duration(seconds)}{besides}"
    if found.kind != lesson.method:
        # What another method held in memory says nothing of this one.
        other = METHODS.get(found.kind, found.kind)
        return f"{about} if an update takes as long as one of {other} did here."
    memory = f", {found.bytes / 1e9:.0f} GB" if found.bytes > 5e8 else ""
    return f"{about}{memory}."


def measured(lesson: Lesson, runs: Runs) -> Measured | None:
    """What the newest training took, of the same kind if there was one."""
    found = [each for f in runs.folders() for each in _of(f, lesson)]
    # One that the app watched knows its measurements, too.
    return min(
        found,
        key=lambda m: (m.kind != lesson.method, not m.pause),
        default=None,
    )


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def _of(folder: Path, lesson: Lesson) -> list[Measured]:
    plan = read_plan(folder)
    if plan is None:
        return []
    found = []
    for run in finished_runs(folder, plan):
        if bool(run.method.anchor) != lesson.anchored:
            continue
        try:
            done = read_done(run.path / DONE_FILE)
        except (OSError, ValueError):
            continue
        made = done.get("stopped_after", plan.updates)
        update = done["seconds"] / made * BATCH / plan.batch_size
        clock = _clock(folder, plan)
        found.append(
            Measured(
                run.method.kind,
                clock.update or update,
                clock.startup or 0.0,
                clock.pause or 0.0,
                int(done["peak_bytes"]),
            )
        )
    return found


def _clock(folder: Path, plan: Plan) -> Clock:
    clock = Clock(plan)
    for time, event in training_folders.read_events(folder)[0]:
        clock.take(time, event)
    return clock

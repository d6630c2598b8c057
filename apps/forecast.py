"""What a training will take, before it starts: from those that came before."""

from pathlib import Path

from . import training_folders
from .lesson import BATCH
from .lesson import EVALUATIONS
from .lesson import METHODS
from .lesson import Lesson
from .runs import Runs
from .runs import read_figures
from .runs import read_plan
from .training_status import Clock
from .uploads import Rows

# The kind of an earlier training, its figures and how long its parts took.
_Measured = tuple[str, dict[str, float], Clock]


def sentence(lesson: Lesson, rows: Rows, runs: Runs) -> str:
    """Passes, time and memory of a training to come, from the earlier ones."""
    passes = lesson.updates * BATCH / rows.learned
    noun = "pass" if round(passes, 1) == 1 else "passes"
    words = f"{passes:.1f}".removesuffix(".0")
    begin = f"{words} {noun} over {rows.learned:,} rows"
    found = _measured(lesson, runs)
    if found is None:
        return (
            f"{begin}. How long that takes is known after its first updates: "
            "nothing was trained here yet."
        )
    kind, done, clock = found
    update = clock.update or done["update"] * BATCH / clock.plan.batch_size
    pauses = min(EVALUATIONS, lesson.updates) * (clock.pause or 0.0)
    seconds = (clock.startup or 0.0) + lesson.updates * update + pauses
    besides = "" if clock.pause else " and some measurements"
    about = f"{begin}, about {duration(seconds)}{besides}"
    if kind != lesson.method:
        # What another method held in memory says nothing of this one.
        other = METHODS.get(kind, kind)
        return f"{about} if an update takes as long as one of {other} did here."
    size = done["peak_bytes"]
    memory = f", {size / 1e9:.0f} GB" if size > 5e8 else ""
    return f"{about}{memory}."


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"


def _measured(lesson: Lesson, runs: Runs) -> _Measured | None:
    """What the newest training took, of the same kind if there was one."""
    found = [each for f in runs.folders() for each in _of(f, lesson)]
    # One that the app watched knows its measurements, too.
    return min(
        found,
        key=lambda each: (each[0] != lesson.method, not each[2].pause),
        default=None,
    )


def _of(folder: Path, lesson: Lesson) -> list[_Measured]:
    found = [
        (method.kind, done)
        for method, done in read_figures(folder)
        if bool(method.anchor) == lesson.anchored
    ]
    plan = read_plan(folder) if found else None
    if plan is None:
        return []
    clock = Clock(plan)
    for time, event in training_folders.read_events(folder)[0]:
        clock.take(time, event)
    return [(kind, done, clock) for kind, done in found]

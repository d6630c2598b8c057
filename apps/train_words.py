"""What the Train tab says: of an upload, and of how the training stands."""

from typing import Any

from . import chart
from . import curves
from . import uploads
from . import words
from .forecast import duration
from .lesson import CUT
from .lesson import LONG
from .quick_gradio import gradio as gr
from .training_status import TrainingStatus

_SHOWN = 5
_POINTS = 200  # Of a curve that is drawn anew with every update.
_ENDS = {"done": "good", "stopped": "info", "failed": "error"}


def upload(rows: uploads.Rows) -> str:
    """What is said of rows: how many there are, and the first as prompts."""
    said = words.note(
        "good",
        f"{len(rows.examples):,} rows: {rows.learned:,} to learn from, "
        f"{rows.held_out:,} to measure the new skill.",
    )
    if rows.template:
        said += words.note("info", f"Chats, written as {rows.template} does.")
    for note in rows.notes:
        said += words.note("warning", note)
    if rows.skipped:
        said += words.note(
            "warning",
            f"{len(rows.skipped)} rows were left out. The first: "
            f"{rows.skipped[0]}",
        )
    if rows.longest > LONG:
        said += words.note(
            "warning",
            f"The longest row has {rows.longest:,} characters. Rows are cut "
            f"to {CUT} tokens: prompts lose their beginning or, where "
            "answers are long, the row is left out. How many they are is "
            "said when the training begins.",
        )
    first = [
        [str(number), example.prompt, example.response]
        for number, example in enumerate(rows.examples[:_SHOWN], 1)
    ]
    return said + words.table(
        "The first rows as the model will read them",
        ["row", "prompt", "answer"],
        first,
        text=True,
    )


def shown(now: TrainingStatus, owner: str) -> list[Any]:
    """Progress, curves and the way to the first tab, for a visitor."""
    return [
        progress(now, owner),
        _curves(now),
        gr.Button(visible=now.state == "done"),
    ]


def progress(now: TrainingStatus, owner: str = "") -> str:
    """How the training stands, in words and as a bar."""
    if now.state == "idle":
        return words.note("info", "Nothing is being trained.")
    cut = words.note("warning", now.cut) if now.cut else ""
    if now.state in _ENDS:
        return words.note(_ENDS[now.state], now.message) + cut
    whose = "Your training" if owner == now.owner else "Another's training"
    line = (
        f"{whose}, {now.name}: {now.phase} Update {now.step} of {now.updates}."
    )
    if now.seconds_left is not None:
        line += f" About {duration(now.seconds_left)} left."
    return (
        words.note("info", line, quiet=True)
        + cut
        + (
            f'<progress class="kg-progress" value="{now.step}" '
            f'max="{now.updates}" aria-label="Updates made"></progress>'
        )
    )


def _curves(now: TrainingStatus) -> str:
    if not now.losses and not now.rows:
        return ""
    title = "Training loss (lower is better)"
    loss = chart.curves(title, {title: thinned(now.losses)}, [title])
    rows = list(now.rows)
    scores = curves.figures(rows, curves.by_score(rows))
    return f'<div class="kg-charts">{loss}{scores}</div>'


def thinned(points: chart.Points) -> chart.Points:
    """About `_POINTS` points in equal steps, the last one always."""
    step = -(-len(points) // _POINTS)
    if step < 2:
        return points
    return [*points[:-1:step], points[-1]]

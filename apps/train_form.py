"""What the fields of the Train tab mean, and what is said of them."""

from typing import Any

from . import forecast
from . import train_words
from . import uploads
from . import words
from .lesson import PRESETS
from .lesson import Lesson
from .quick_gradio import gradio as gr
from .runs import Runs


def lesson_of(
    method: str,
    anchored: bool,
    layers: float | None,
    factor: float | None,
    updates: float | None,
    rate: float | None,
    retention: str,
) -> Lesson:
    """What the settings ask for.

    Raises:
        ValueError: if one is out of range.
    """
    return Lesson(
        method,
        int(layers or 0),
        int(factor or 0),
        int(updates or 0),
        float(rate or 0.0),
        bool(anchored),
        retention,
    )


def settings(preset: str, rows: uploads.Rows | None) -> list[Any]:
    """The settings of a preset, for rows if there are any."""
    chosen = PRESETS.get(preset, PRESETS["quick"])
    lesson = chosen.lesson
    learned = len(rows.examples) - rows.held_out if rows else 0
    return [
        lesson.method,
        lesson.anchored,
        lesson.layers,
        lesson.factor,
        chosen.updates(learned) if learned else lesson.updates,
        lesson.learning_rate,
        lesson.retention,
    ]


def check(
    file: str | None,
    prompt: str | None = None,
    answer: str | None = None,
    template: str = uploads.TEMPLATES[0],
    split: float = uploads.SPLIT,
) -> list[Any]:
    """What is said of an upload, and which choosers it takes to read it.

    Args:
        file: where Gradio keeps it, or None where it was taken away.
        prompt: the column of the prompts, where one was chosen.
        answer: the column of the answers, likewise.
        template: what makes text of chats.
        split: share of the rows that is held out.
    """
    hidden = gr.Dropdown(choices=[], value=None, visible=False)
    unseen = gr.Dropdown(visible=False)
    if not file:
        return [words.note("info", "No file yet."), hidden, hidden, unseen]
    read = uploads.Reading(prompt or "", answer or "", template, split)
    try:
        rows = uploads.check(file, read)
    except uploads.UnknownColumns as error:
        both = [
            gr.Dropdown(choices=error.columns, value=chosen, visible=True)
            for chosen in (prompt, answer)
        ]
        return [words.note("warning", str(error)), *both, unseen]
    except uploads.Refused as error:
        chosen = gr.skip() if prompt else hidden
        return [words.note("error", str(error)), chosen, chosen, unseen]
    columns = gr.skip() if prompt else hidden
    return [
        train_words.upload(rows),
        columns,
        columns,
        gr.Dropdown(visible=bool(rows.template)),
    ]


def forecast_of(runs: Runs, *given: Any) -> str:
    """What the training would take, of an upload and settings that are good.

    Args:
        runs: the earlier ones.
        *given: file, prompt and answer columns, template and split, then the
            settings in the order of `lesson_of`.
    """
    rows = rows_of(*given[:5])
    try:
        lesson = lesson_of(*given[5:])
    except ValueError as error:
        return words.note("error", str(error))
    if rows is None:
        return ""
    return words.note("info", forecast.sentence(lesson, rows, runs))


def rows_of(
    file: str | None,
    prompt: str | None,
    answer: str | None,
    template: str,
    split: float,
) -> uploads.Rows | None:
    """The rows of an upload, or None where it is refused."""
    read = uploads.Reading(prompt or "", answer or "", template, split)
    try:
        return uploads.check(file, read)
    except uploads.Refused:
        return None

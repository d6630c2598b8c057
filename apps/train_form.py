"""What the fields of the Train tab mean, and what is said of them."""

from typing import Any

from . import forecast
from . import train_words
from . import uploads
from . import words
from .lesson import PRESETS
from .lesson import Lesson
from .models import Models
from .quick_gradio import gradio as gr
from .runs import Runs

# Places of some settings among those of `lesson_of`.
LAYERS, UPDATES, RATE = 2, 4, 5


def lesson_of(
    method: str,
    anchored: bool,
    layers: float | None,
    factor: float | None,
    updates: float | None,
    rate: float | None,
    retention: str,
) -> Lesson:
    """What the settings ask for; one out of range is a ValueError."""
    return Lesson(
        method,
        int(layers or 0),
        int(factor or 0),
        int(updates or 0),
        float(rate or 0.0),
        bool(anchored),
        retention,
    )


def settings(
    preset: str, rows: uploads.Rows | None, num_blocks: int = 0
) -> list[Any]:
    """The settings of a preset, for the rows and the blocks that are known."""
    chosen = PRESETS.get(preset, PRESETS["quick"])
    lesson = chosen.lesson
    learned = len(rows.examples) - rows.held_out if rows else 0
    return [
        lesson.method,
        lesson.anchored,
        min(lesson.layers, num_blocks or lesson.layers),
        lesson.factor,
        chosen.updates(learned) if learned else lesson.updates,
        lesson.learning_rate,
        lesson.retention,
    ]


def look(
    models: Models,
    file: str | None,
    before: uploads.Rows | None,
    prompt: str | None,
    answer: str | None,
    template: str,
    split: float,
    preset: str,
    *values: Any,
) -> list[Any]:
    """What `check` finds, then grown blocks, updates and forecast for it.

    `before` are the rows until now. A preset's number of updates is another one
    for each file; one that the visitor chose stays.
    """
    found, chosen = check(file, prompt, answer, template, split), [*values]
    if chosen[UPDATES] == settings(preset, before)[UPDATES]:
        chosen[UPDATES] = settings(preset, found[0])[UPDATES]
    if models.num_blocks:
        chosen[LAYERS] = min(chosen[LAYERS] or 0, models.num_blocks)
    expected = forecast_of(models.runs, found[0], *chosen)
    return [*found, chosen[LAYERS], chosen[UPDATES], expected]


def check(
    file: str | None,
    prompt: str | None = None,
    answer: str | None = None,
    template: str = uploads.TEMPLATES[0],
    split: float = uploads.SPLIT,
) -> list[Any]:
    """The rows of an upload, what is said, and which choosers it takes.

    `file` is None where it was taken away. The columns are given only where
    they were chosen. `template` makes text of chats; `split` is the share of
    the rows that is held out.
    """
    hidden = gr.Dropdown(choices=[], value=None, visible=False)
    unseen = gr.Dropdown(visible=False)
    if not file:
        said = words.note("info", "No file yet.")
        return [None, said, hidden, hidden, unseen]
    read = uploads.Reading(prompt or "", answer or "", template, split)
    try:
        rows = uploads.check(file, read)
    except uploads.UnknownColumns as error:
        both = [
            gr.Dropdown(choices=error.columns, value=chosen, visible=True)
            for chosen in (prompt, answer)
        ]
        return [None, words.note("warning", str(error)), *both, unseen]
    except uploads.Refused as error:
        chosen = gr.skip() if prompt else hidden
        said = words.note("error", str(error))
        return [None, said, chosen, chosen, unseen]
    columns = gr.skip() if prompt else hidden
    return [
        rows,
        train_words.upload(rows),
        columns,
        columns,
        gr.Dropdown(visible=bool(rows.template)),
    ]


def forecast_of(runs: Runs, rows: uploads.Rows | None, *settings: Any) -> str:
    """What the training would take, if rows and settings are good.

    Settings are in the order of `lesson_of`.
    """
    try:
        lesson = lesson_of(*settings)
    except ValueError as error:
        return words.note("error", str(error))
    if rows is None:
        return ""
    return words.note("info", forecast.sentence(lesson, rows, runs))

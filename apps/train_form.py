"""What the fields of the Train tab mean, and what is said of them."""

import dataclasses
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

# The settings in their order.
SETTINGS = [each.name for each in dataclasses.fields(Lesson)]
_LAYERS, _UPDATES = map(SETTINGS.index, ("layers", "updates"))


def lesson_of(*values: Any) -> Lesson:
    """What the settings ask for; one out of range is a ValueError."""
    # A number that was emptied is None.
    known: list[Any] = [0 if value is None else value for value in values]
    return Lesson(*known)


def settings(
    preset: str, rows: uploads.Rows | None, num_blocks: int = 0
) -> list[Any]:
    """The settings of a preset, for the rows and the blocks that are known."""
    chosen = PRESETS.get(preset, PRESETS["quick"])
    lesson = chosen.lesson
    lesson = dataclasses.replace(
        lesson,
        layers=min(lesson.layers, num_blocks or lesson.layers),
        updates=chosen.updates(rows.learned) if rows else lesson.updates,
    )
    return list(dataclasses.astuple(lesson))


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
    if chosen[_UPDATES] == settings(preset, before)[_UPDATES]:
        chosen[_UPDATES] = settings(preset, found[0])[_UPDATES]
    if models.num_blocks:
        chosen[_LAYERS] = min(chosen[_LAYERS] or 0, models.num_blocks)
    expected = forecast_of(models.runs, found[0], *chosen)
    return [*found, chosen[_LAYERS], chosen[_UPDATES], expected]


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
    columns = [gr.skip() if prompt else hidden] * 2
    rows: uploads.Rows | None = None
    try:
        if file:
            read = uploads.Reading(prompt or "", answer or "", template, split)
            rows = uploads.check(file, read)
            said = train_words.upload(rows)
        else:
            said = words.note("info", "No file yet.")
    except uploads.UnknownColumns as error:
        said = words.note("warning", str(error))
        columns = [
            gr.Dropdown(choices=error.columns, value=chosen, visible=True)
            for chosen in (prompt, answer)
        ]
    except uploads.Refused as error:
        said = words.note("error", str(error))
    chats = gr.Dropdown(visible=bool(rows and rows.template))
    return [rows, said, *columns, chats]


def forecast_of(runs: Runs, rows: uploads.Rows | None, *settings: Any) -> str:
    """What the training would take, if rows and settings are good."""
    try:
        lesson = lesson_of(*settings)
    except ValueError as error:
        return words.note("error", str(error))
    if rows is None:
        return ""
    return words.note("info", forecast.sentence(lesson, rows, runs))

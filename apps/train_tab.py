"""Train: upload rows, choose how, watch, stop, keep."""

import uuid
from functools import partial
from typing import Any

from keras_grow.comparison.kinds import KINDS

from . import access
from . import train_form as form
from . import train_words
from . import trainings_panel
from . import uploads
from . import words
from .lesson import METHODS
from .lesson import PRESETS
from .lesson import WATCHED
from .lesson import Lesson
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .trainer import Busy
from .trainer import Trainer

_FORMATS = (
    "A file of rows up to 5 MB: JSONL, JSON, CSV, TSV or Parquet, with a "
    "prompt and an answer in each row, or chats."
)


def build(
    page: Any, trainer: Trainer, models: Models, owner: Any
) -> tuple[list[Any], Any]:
    """Lay out the tab and wire it.

    The models' number of blocks is the most that can grow, and their runs tell
    how long a training takes. `owner` is the key that the visitor's browser
    keeps, see `access`. Returned are outputs of `train_words.shown`, and the
    button that leads to the first tab with the model just trained.
    """
    gr.HTML(f'<p class="kg-about">{_FORMATS}</p>')
    file = gr.File(
        label="Rows to learn from",
        file_types=uploads.ENDINGS,
        elem_id="upload",
    )
    with gr.Row():
        prompt = gr.Dropdown(
            [], label="Prompt column", visible=False, elem_id="prompt-column"
        )
        answer = gr.Dropdown(
            [], label="Answer column", visible=False, elem_id="answer-column"
        )
        template = gr.Dropdown(
            list(uploads.TEMPLATES),
            value=uploads.TEMPLATES[0],
            label="How chats become text",
            info="As the model's own family writes them",
            visible=False,
            elem_id="template",
        )
    checked = gr.HTML(
        words.note("info", "No file yet."), elem_id="upload-check"
    )
    preset = gr.Radio(
        [(preset.words, name) for name, preset in PRESETS.items()],
        value="quick",
        label="How",
        elem_id="preset",
    )
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        fields = _advanced()
        chosen = dict(zip(form.SETTINGS, fields, strict=True))
        split = gr.Slider(
            0.05,
            0.5,
            uploads.SPLIT,
            step=0.05,
            label="Rows held out",
            info="The share kept out of training, to measure the skill",
            elem_id="split",
        )
    name = gr.Textbox(
        label="Name",
        info="The model's name on every tab",
        placeholder="The file's name and the method's",
        max_length=80,
        elem_id="train-name",
    )
    expected = gr.HTML(elem_id="train-forecast")
    with gr.Row():
        start = gr.Button("Train", variant="primary", elem_id="train")
        stop = gr.Button("Stop and keep", elem_id="train-stop")
    said = gr.HTML(elem_id="train-said")
    view = gr.HTML(
        train_words.progress(trainer.status), elem_id="train-progress"
    )
    curves = gr.HTML(elem_id="train-curves")
    compare = gr.Button(
        "Compare it on the first tab", visible=False, elem_id="train-compare"
    )
    trainings_panel.build(trainer, owner)
    reading: list[Any] = [prompt, answer, template, split]

    # What was read of the file, or None.
    rows = gr.State(None)

    def begin(
        request: gr.Request,
        rows: uploads.Rows | None,
        name: str | None,
        owner: str,
        *values: Any,
    ) -> str:
        try:
            if rows is None:
                raise uploads.Refused("First choose a file that can be read.")
            called = trainer.start(
                form.lesson_of(*values),
                rows,
                access.visitor(request, owner),
                models.num_blocks,
                name or "",
            )
        except (ValueError, OSError, Busy, uploads.Refused) as error:
            return words.note("error", str(error))
        return words.note("good", f"Started: {called}.")

    def end(request: gr.Request, owner: str) -> str:
        said = trainer.stop(access.visitor(request, owner))
        return words.note("info", said)

    look = partial(form.look, models)
    expect = partial(form.forecast_of, models.runs)

    def look_anew(file: str | None, before: Any, *values: Any) -> list[Any]:
        # The columns of a new file are its own.
        return look(file, before, None, None, *values)

    def choose(preset: str, rows: uploads.Rows | None) -> list[Any]:
        values = form.settings(preset, rows, models.num_blocks)
        return [*values, expect(rows, *values)]

    seen = [rows, checked, prompt, answer, template]
    seen += [chosen["layers"], chosen["updates"], expected]
    file.change(
        look_anew, [file, rows, *reading[2:], preset, *fields], seen, **QUIET
    )
    for field in reading:
        field.input(
            look, [file, rows, *reading, preset, *fields], seen, **QUIET
        )
    preset.input(choose, [preset, rows], [*fields, expected], **QUIET)
    for field in fields:
        field.input(expect, [rows, *fields], expected, **QUIET)
    chosen["method"].input(
        lambda m: KINDS[m].rate if m in METHODS else gr.skip(),
        chosen["method"],
        chosen["learning_rate"],
        **QUIET,
    )
    start.click(
        begin,
        [rows, name, owner, *fields],
        said,
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(end, owner, said, **QUIET)
    page.load(lambda who: who or uuid.uuid4().hex, owner, owner, **QUIET)
    return [view, curves, compare], compare


def _advanced() -> list[Any]:
    """The settings of a `Lesson`, in their order."""
    with gr.Row():
        method = gr.Radio(
            [(KINDS[kind].words, kind) for kind in METHODS],
            value=Lesson.method,
            label="Method",
            info="Growing leaves the base's own weights as they are",
            elem_id="method",
        )
        anchored = gr.Checkbox(
            False,
            label="Hold it to the base on general text",
            info="An anchor: updates take longer, and less is forgotten",
        )
    with gr.Row():
        # Ranges are those of a `Lesson`, which says in words what is wrong.
        layers = gr.Number(
            10,
            label="Grown blocks",
            info="Number of last blocks; 0 for all. More blocks learn more",
            precision=0,
        )
        factor = gr.Slider(
            2,
            4,
            2,
            step=1,
            label="Factor",
            info="How wide a grown block becomes; 2 is enough for most",
        )
        updates = gr.Number(
            30,
            label="Updates",
            info="Steps of 8 rows each",
            precision=0,
            elem_id="updates",
        )
        rate = gr.Number(
            Lesson.learning_rate,
            label="Learning rate",
            info="Higher learns faster, and forgets more",
            elem_id="rate",
        )
    retention = gr.Dropdown(
        [(label, name) for name, label in WATCHED.items()],
        value="",
        label="Old skill to watch",
        info="Measured beside the new skill, to see what is forgotten",
    )
    return [method, anchored, layers, factor, updates, rate, retention]

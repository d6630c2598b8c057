"""The components of one pane of the first tab."""

from typing import Any

from . import pane as html
from .answers import Answer
from .catalog import BASE
from .models import Models
from .placing import Pane
from .quick_gradio import gradio as gr


def build(models: Models, index: int, placed: Pane) -> list[Any]:
    """Lay out a pane, see `CompareTab`; it is hidden where it is closed."""
    key, share = placed or (BASE, 1.0)
    name = f"Model {index + 1}"
    with gr.Column(
        min_width=240, elem_id=f"pane-{index}", visible=placed is not None
    ) as column:
        chooser = gr.Dropdown(
            models.offered(), value=key, label=name, elem_id=f"model-{index}"
        )
        heading = gr.HTML(html.heading(models.part(key)))
        text = gr.HTML(html.answer(name, Answer()), elem_id=f"answer-{index}")
        dial = gr.Slider(
            0.0,
            1.0,
            share,
            step=0.05,
            visible=key in models.grown(),
            label="Dial: 0 is the base, 1 the growth as trained",
            elem_id=f"dial-{index}",
        )
        note = gr.HTML(elem_id=f"note-{index}")
        with gr.Row():
            buttons = [
                gr.Button(
                    f"{label} model {index + 1}",
                    size="sm",
                    min_width=60,
                    elem_id=f"{short}-{index}",
                )
                for label, short in (
                    ("Continue", "continue"),
                    ("Ask", "ask"),
                    ("Close", "away"),
                )
            ]
    return [column, chooser, heading, text, dial, note, *buttons]

"""Which models the panes have: at first, by a link, and what is offered."""

from typing import Any

from .catalog import BASE
from .history import PANES
from .models import Models
from .quick_gradio import gradio as gr
from .settings import MIXES


def filled(
    models: Models, chosen: list[tuple[str, float]]
) -> list[tuple[str, float] | None]:
    """Model and dial of each pane, `None` where it is closed."""
    offered = {key for _, key in models.offered()}
    known = [pair for pair in chosen if pair[0] in offered]
    known = known[:PANES] or [(BASE, 1.0)]
    return [*known, *[None] * (PANES - len(known))]


def place(models: Models, chosen: list[tuple[str, float]]) -> list[Any]:
    """Open a pane for each of these models, see `CompareTab.placed`."""
    offered, grown = models.offered(), models.grown()
    opened = [pair is not None for pair in filled(models, chosen)]
    panes = [pair or (BASE, 1.0) for pair in filled(models, chosen)]
    return [
        *(gr.Column(visible=own) for own in opened),
        *(gr.Dropdown(choices=offered, value=key) for key, _ in panes),
        *(gr.Slider(value=dial, visible=key in grown) for key, dial in panes),
        opened,
    ]


def linked(request: gr.Request, models: Models) -> list[tuple[str, float]]:
    """The models and dials of a link, or those that are there at first."""
    found = []
    for text in request.query_params.getlist("pane"):
        key, _, dial = text.rpartition("@")
        try:
            found.append((key, min(max(float(dial), 0.0), 1.0)))
        except ValueError:
            continue
    return found or [(key, 1.0) for key in models.first()]


def offers(models: Models) -> list[Any]:
    """The lists of the panes and the dials of a mix, as they are now."""
    choices = gr.Dropdown(choices=models.offered())
    labels = list(models.grown().values())[:MIXES]
    return [
        *[choices] * PANES,
        *(gr.Slider(label=label, visible=True) for label in labels),
        *[gr.Slider(visible=False)] * (MIXES - len(labels)),
    ]

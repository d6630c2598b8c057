"""Which models the panes have: at first, by a link, and what is offered."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from .catalog import BASE
from .catalog import MIXED
from .history import PANES
from .history import Kept
from .models import Models
from .quick_gradio import gradio as gr

MIXES = 4  # Growths that can be mixed.
# Model and dial of a pane, `None` where it is closed.
Pane = tuple[str, float] | None


def filled(models: Models, chosen: Sequence[Pane]) -> list[Pane]:
    """All panes, with those of the models that are still offered."""
    offered = {key for _, key in models.offered()}
    known = [pair if pair and pair[0] in offered else None for pair in chosen]
    if not any(known):
        known = [(BASE, 1.0)]
    return [*known, *[None] * PANES][:PANES]


def place(models: Models, chosen: Sequence[Pane]) -> list[Any]:
    """Open a pane for each of these models, see `CompareTab.placed`."""
    panes = filled(models, chosen)
    offered, grown = models.offered(), models.grown()
    there = [pair or (BASE, 1.0) for pair in panes]
    opened = [pair is not None for pair in panes]
    return [
        *(gr.Column(visible=own) for own in opened),
        *(gr.Dropdown(choices=offered, value=key) for key, _ in there),
        *(gr.Slider(value=dial, visible=key in grown) for key, dial in there),
        opened,
    ]


def asked_again(
    models: Models, item: Mapping[str, Kept], opened: Sequence[bool]
) -> list[Any]:
    """Open the panes of an earlier question with its models, dials and mix.

    A pane whose model has gone, or that was not asked, stays as it is.
    """
    offered, grown = models.offered(), models.grown()
    known, now = {key for _, key in offered}, [*opened]
    columns, choosers, dials = ([gr.skip()] * PANES for _ in range(3))
    mix = [gr.skip()] * (MIXES + 1)
    for name, own in item.items():
        at, key, scales = (
            int(name),
            own["choice"]["key"],
            own["choice"]["dials"],
        )
        if key not in known:
            continue
        now[at], columns[at] = True, gr.Column(visible=True)
        choosers[at] = gr.Dropdown(choices=offered, value=key)
        dial = scales.get(key, 1.0)
        dials[at] = gr.Slider(value=dial, visible=key in grown)
        if key == MIXED:
            mix = offers(models, (), [*scales], [*scales.values()])[PANES:]
    return [*columns, *choosers, *dials, now, *mix]


def offers(
    models: Models,
    chosen: Sequence[str | None] = (),
    mixed: Sequence[str] = (),
    mix: Sequence[float] = (),
) -> list[Any]:
    """The lists of the panes, the dials of a mix, and whose these are.

    `chosen` are the models of the panes; one that has gone leaves its pane
    without any. Each of the growths in `mixed` keeps its dial in `mix`.
    """
    choices, grown = models.offered(), models.grown()
    known = {key for _, key in choices}
    gone: dict[str, Any] = {"value": None}
    panes = [
        gr.Dropdown(choices=choices, **({} if key in known else gone))
        for key in chosen
    ]
    keys, dials = list(grown)[:MIXES], dict(zip(mixed, mix, strict=False))
    return [
        *(panes or [gr.Dropdown(choices=choices)] * PANES),
        *(
            gr.Slider(label=grown[key], value=dials.get(key, 0.0), visible=True)
            for key in keys
        ),
        *[gr.Slider(visible=False)] * (MIXES - len(keys)),
        keys,
    ]

"""Links: an address that gives back settings, panes and a mix."""

from itertools import compress
from typing import Any
from urllib.parse import urlencode

from .answers import Question
from .compare_events import Form
from .history import SETTINGS
from .quick_gradio import gradio as gr


def link(*values: Any) -> str:
    """The address' query that gives back the settings and the open panes."""
    form = Form.of(values)
    query = [
        (name, int(value) if isinstance(value, bool) else value)
        for name, value in zip(SETTINGS, form.settings, strict=True)
    ]
    panes = zip(form.keys, form.dials, strict=True)
    query += [
        ("pane", f"{key}@{dial:g}")
        for key, dial in compress(panes, form.opened)
    ]
    mix = zip(form.mixed, form.mix, strict=False)
    query += [("mix", f"{key}@{dial:g}") for key, dial in mix if dial]
    return urlencode(query)


def follow_link(request: gr.Request) -> list[Any]:
    """Settings as the page's address gives them, and no other."""
    query = dict(request.query_params)
    given: dict[str, Any] = {}
    for name, kind in SETTINGS.items():
        if name not in query:
            continue
        try:
            value = query[name] == "1" if kind is bool else kind(query[name])  # type: ignore[operator]
            Question(**{"prompt": "-", **given, name: value})
        except ValueError:
            continue  # An address can be cut or mistyped.
        given[name] = value
    # What a visitor has begun to type is not taken from them.
    return [given.get(name, gr.skip()) for name in SETTINGS]


def linked(request: gr.Request, name: str) -> list[tuple[str, float]]:
    """The keys and dials that a link gives under a name."""
    found = []
    for text in request.query_params.getlist(name):
        key, _, dial = text.rpartition("@")
        try:
            if 0.0 <= float(dial) <= 1.0:
                found.append((key, float(dial)))
        except ValueError:
            continue
    return found

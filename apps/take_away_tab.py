"""Take away: a model as a file, and how to load it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from . import exports
from . import words
from .downloads import Found
from .downloads import link
from .forms import FORMS
from .forms import loading_lines
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import Entry
from .runs import Runs

_NONE = (
    "No model to take away yet. Train one on the Train tab, or start the app "
    "on the folder of a comparison."
)
_GONE = (
    "This model is not there any more: its run was deleted or renamed. "
    "Choose another."
)


def build(runs: Runs) -> Any:
    """Lay out the tab and wire it; returns the choice of a model."""
    model = gr.Dropdown(
        [], label="Model", interactive=True, elem_id="take-model"
    )
    form = gr.Radio(
        [(each.label, form) for form, each in FORMS.items()],
        value="growth",
        label="As",
        elem_id="take-form",
    )
    about = gr.HTML(words.note("info", _NONE), elem_id="take-about")
    make = gr.Button("Make it", visible=False, elem_id="take-make")
    files = gr.HTML(elem_id="take-files")
    code = gr.Textbox(
        label="Lines that load it",
        lines=6,
        max_lines=12,
        interactive=False,
        buttons=["copy"],
        visible=False,
        elem_id="take-code",
    )
    view = [form, about, make, files, code]
    gr.on(
        [model.change, form.input],
        partial(_offer, runs),
        [model, form],
        view,
        **QUIET,
    )
    make.click(
        partial(_make, runs),
        [model, form],
        view,
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=1,
        concurrency_id="export",
    )
    return model


def choices(runs: Runs, chosen: str | None = None) -> Any:
    """The models to choose from.

    By default it is the last of the first run, a grown one where there is one.
    """
    entries = runs.entries()
    if chosen not in [entry.key for entry in entries]:
        first = [each for each in entries if each.folder == entries[0].folder]
        grown = [each for each in first if each.is_grown]
        chosen = (grown or first)[-1].key if first else None
    return gr.Dropdown(
        choices=[(entry.label, entry.key) for entry in entries],
        value=chosen,
        visible=bool(entries),
    )


def find(runs: Runs, key: str, shown: list[str]) -> Found:
    """The download of a key, `FORM/KEY` or `card/FORM/KEY` of a model."""
    form, _, own = key.removeprefix("card/").partition("/")
    entry = runs.entry(own)
    if entry is None or form not in FORMS:
        return None
    if key.startswith("card/"):
        text = exports.card(entry, form)
        return (f"{exports.stem(entry)}.md", text) if text else None
    file = exports.made(entry, form)
    return (exports.name(entry, form), file) if file else None


def _offer(runs: Runs, key: str | None, form: str) -> list[Any]:
    """What the tab shows of a model in a form."""
    entry = runs.entry(key)
    if entry is None:
        said = (
            words.note("warning", _GONE) if key else words.note("info", _NONE)
        )
        return [gr.skip(), said, *_nothing()]
    forms = [each for each in FORMS if FORMS[each].make or entry.is_grown]
    form = form if form in forms else forms[0]
    radio = gr.Radio(
        choices=[(FORMS[each].label, each) for each in forms], value=form
    )
    file = exports.made(entry, form)
    if file is None:
        said = (
            f"{entry.label} is not there in this form yet. It is written once, "
            "in bfloat16, beside its run: about a minute, and as much memory "
            "as the model takes."
        )
        button = gr.Button(FORMS[form].make, visible=True)
        return [radio, words.note("info", said), button, *_nothing()[1:]]
    size = f"{file.stat().st_size / 1e6:,.1f} MB"
    return [
        radio,
        words.note("info", f"{entry.label}: {size}. {FORMS[form].about}"),
        gr.Button(visible=False),
        _links(entry, form, size),
        gr.Textbox(
            value=loading_lines(
                form, exports.stem(entry), runs.model, runs.dtype
            ),
            visible=True,
        ),
    ]


def _nothing() -> list[Any]:
    return [gr.Button(visible=False), "", gr.Textbox(visible=False)]


def _make(runs: Runs, key: str | None, form: str) -> Iterator[list[Any]]:
    entry = runs.entry(key)
    if entry is None or not FORMS[form].make or exports.made(entry, form):
        yield _offer(runs, key, form)
        return
    said = f"{entry.label} is being written. You can go on meanwhile."
    button = gr.Button(interactive=False)
    yield [gr.skip(), words.note("info", said), button, "", gr.skip()]
    button = gr.Button(interactive=True)
    try:
        exports.make(entry, form)
    except exports.Refused as error:
        said = words.note("error", str(error))
        yield [gr.skip(), said, button, "", gr.skip()]
        return
    radio, about, _, files, code = _offer(runs, key, form)
    hidden = gr.Button(visible=False, interactive=True)
    yield [radio, about, hidden, files, code]


def _links(entry: Entry, form: str, size: str) -> str:
    name, key = exports.name(entry, form), f"{form}/{entry.key}"
    links = [link(f"Download {name} ({size})", "model", key, "take-download")]
    if FORMS[form].make:
        links.append(link("Model card", "model", f"card/{key}", "take-card"))
    return f'<p class="kg-links">{" ".join(links)}</p>'

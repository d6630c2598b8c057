"""Take away: a model as a file, and how to load it."""

from collections.abc import Iterator
from typing import Any

from . import exports
from . import loading_lines
from . import words
from .downloads import Found
from .downloads import link
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
_MAKE = {
    "gguf": "Make the GGUF file",
    "transformers": "Make the folder for transformers",
}


def build(runs: Runs) -> Any:
    """Lay out the tab and wire it; returns the choice of a model."""
    model = gr.Dropdown(
        [], label="Model", interactive=True, elem_id="take-model"
    )
    form = gr.Radio(
        list(exports.FORMS.items()),
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

    def offer(key: str | None, form: str) -> list[Any]:
        return _offer(runs, key, form)

    def write(key: str | None, form: str) -> Iterator[list[Any]]:
        yield from _make(runs, key, form)

    gr.on([model.change, form.input], offer, [model, form], view, **QUIET)
    make.click(
        write,
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
    form, _, rest = key.partition("/")
    if form == "card":
        form, _, rest = rest.partition("/")
        entry = runs.entry(rest)
        text = exports.card(entry, form) if entry else ""
        return (f"{exports.stem(entry)}.md", text) if entry and text else None
    entry = runs.entry(rest)
    if entry is None or form not in exports.FORMS.values():
        return None
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
    if form == "growth" and not entry.is_grown:
        form = "gguf"
    forms = [
        (name, each)
        for name, each in exports.FORMS.items()
        if each != "growth" or entry.is_grown
    ]
    radio = gr.Radio(choices=forms, value=form)
    file = exports.made(entry, form)
    if file is None:
        said = (
            f"{entry.label} is not there in this form yet. It is written once, "
            "in bfloat16, beside its run: about a minute, and as much memory "
            "as the model takes."
        )
        button = gr.Button(_MAKE[form], visible=True)
        return [radio, words.note("info", said), button, "", *_nothing()[2:]]
    size = file.stat().st_size
    said = f"{entry.label}: {size / 1e6:,.1f} MB. " + _SAID[form]
    return [
        radio,
        words.note("info", said),
        gr.Button(visible=False),
        _links(entry, form, size),
        gr.Textbox(
            value=loading_lines.of(entry, form, runs.model, runs.dtype),
            visible=True,
        ),
    ]


_SAID = {
    "growth": "The file holds the new slices and a fingerprint of the base, "
    "which has to be there already.",
    "gguf": "The whole model, with its tokenizer. Its model card has a "
    "Modelfile for Ollama.",
    "transformers": "The whole model, with its tokenizer and model card.",
}


def _nothing() -> list[Any]:
    return [gr.Button(visible=False), "", gr.Textbox(visible=False)]


def _make(runs: Runs, key: str | None, form: str) -> Iterator[list[Any]]:
    entry = runs.entry(key)
    if entry is None or form not in _MAKE or exports.made(entry, form):
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


def _links(entry: Entry, form: str, size: int) -> str:
    name = exports.name(entry, form)
    links = [
        link(
            f"Download {name} ({size / 1e6:,.1f} MB)",
            "model",
            f"{form}/{entry.key}",
            "take-download",
        )
    ]
    if form != "growth":
        links.append(
            link("Model card", "model", f"card/{form}/{entry.key}", "take-card")
        )
    return f'<p class="kg-links">{" ".join(links)}</p>'

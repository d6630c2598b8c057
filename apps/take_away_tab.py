"""Take away: the growth file, and how to load it."""

from typing import Any

from . import words
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import GROWTH_FILE
from .runs import Runs
from .served import Served

_NONE = (
    "No growth to take away yet. Grow a model on the Train tab: its new "
    "slices come as one file. A model that was fine-tuned has no such file, "
    "because all of its weights changed."
)


def build(runs: Runs, served: Served) -> Any:
    """Lay out the tab and wire it.

    Args:
        runs: finished runs.
        served: where downloads go.

    Returns:
        The choice of a growth.
    """
    growth = gr.Dropdown(
        [], label="Grown model", interactive=True, elem_id="take-growth"
    )
    about = gr.HTML(words.note("info", _NONE), elem_id="take-about")
    download = gr.DownloadButton(
        "Download the growth file", visible=False, elem_id="take-download"
    )
    code = gr.Textbox(
        label="Python that loads it",
        lines=4,
        interactive=False,
        buttons=["copy"],
        visible=False,
        elem_id="take-code",
    )
    growth.change(
        lambda key: _offer(runs, served, key),
        growth,
        [about, download, code],
        **QUIET,
    )
    return growth


def choices(runs: Runs, chosen: str | None = None) -> Any:
    """The growths to choose from.

    Args:
        runs: finished runs.
        chosen: which one is. Defaults to `None`: the last of the first run.
    """
    found = [(e.label, e.key) for e in runs.entries() if e.is_grown]
    keys = [key for _, key in found]
    if chosen not in keys:
        first = [
            key for key in keys if key.split("/")[0] == keys[0].split("/")[0]
        ]
        chosen = first[-1] if first else None
    return gr.Dropdown(choices=found, value=chosen, visible=bool(found))


def loading_code(model: str, dtype: str) -> str:
    """Four lines that give the grown model."""
    base = repr(model) if dtype == "float32" else f"{model!r}, {dtype!r}"
    return (
        "import keras_grow\n"
        "from keras_grow.loading import load_causal_lm\n"
        f"lm = load_causal_lm({base})\n"
        f'keras_grow.load_growth(lm, "{GROWTH_FILE}")'
    )


def _offer(runs: Runs, served: Served, key: str | None) -> list[Any]:
    entry = runs.entry(key)
    if entry is None or entry.growth_file is None:
        return [
            words.note("info", _NONE),
            gr.DownloadButton(visible=False),
            gr.Textbox(visible=False),
        ]
    size = entry.growth_file.stat().st_size
    said = (
        f"{entry.label}: {size / 1e6:.1f} MB. The file holds the new slices "
        "and a fingerprint of the base, which has to be there already."
    )
    return [
        words.note("info", said),
        gr.DownloadButton(value=served.file(entry.growth_file), visible=True),
        gr.Textbox(value=loading_code(runs.model, runs.dtype), visible=True),
    ]

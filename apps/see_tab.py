"""See: curves, table, blocks, layer scores and rank map of a run."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from . import curves as pictures
from . import drawings
from . import front_view
from . import results
from . import words
from .downloads import Found
from .downloads import link
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import Runs
from .runs import read_rows
from .training_folders import name_of

_NO_RUN = (
    "No finished run yet. Train a model on the Train tab, or start the app on "
    "the folder of a comparison."
)
_GONE = (
    "This run is not there any more: it was deleted or renamed. Choose another."
)
_DATA = "Blocks, layer scores and rank map as JSON"
_ANALYSES = "<h2>Layer scores and rank map</h2>"
_NO_ANALYSES = (
    "No layer scores or rank map in this run. They are shown where "
    "`keras-grow rank --save` or `RankMap.save` has written them into its "
    "folder, as JSON."
)


def build(tab: Any, runs: Runs, models: Models) -> Any:
    """Lay out the tab and wire it; returns the choice of a run."""
    run = gr.Dropdown([], label="Run", interactive=True, elem_id="see-run")
    shown = gr.CheckboxGroup(
        [], label="Methods in the curves", elem_id="see-methods"
    )
    curves = gr.HTML(words.note("info", _NO_RUN), elem_id="see-curves")
    files = gr.HTML(elem_id="see-files")
    table = gr.HTML(elem_id="see-table")
    front = gr.HTML(elem_id="see-front")
    grown = gr.HTML(elem_id="see-blocks")
    extras = gr.HTML(elem_id="see-analyses")
    redraw = [shown, curves, files, table, front, grown, extras]

    def filter_curves(name: str | None, kept: list[str]) -> list[Any]:
        folder = runs.folder(name)
        rows = read_rows(folder) if folder else []
        return [pictures.charts(rows, kept), _files(name, kept)]

    def draw_grown(name: str | None) -> str:
        folder = runs.folder(name)
        return _grown(runs, models, folder) if folder else ""

    run.change(partial(_draw, runs, models), run, redraw, **QUIET)
    # The model may have been loaded since.
    tab.select(draw_grown, run, grown, **QUIET)
    shown.input(filter_curves, [run, shown], [curves, files], **QUIET)
    return run


def choices(runs: Runs, chosen: str | None = None) -> Any:
    """The runs to choose from, the given or newest first."""
    found = {folder.name: name_of(folder) for folder in runs.folders()}
    if chosen not in found:
        chosen = next(iter(found), None)
    named = [(label, key) for key, label in found.items()]
    return gr.Dropdown(choices=named, value=chosen, visible=bool(found))


def _draw(runs: Runs, models: Models, name: str | None) -> list[Any]:
    folder = runs.folder(name)
    if folder is None:
        empty = gr.CheckboxGroup(choices=[], visible=False)
        kind, said = ("warning", _GONE) if name else ("info", _NO_RUN)
        return [empty, words.note(kind, said), "", "", "", "", ""]
    rows = read_rows(folder)
    methods = results.methods_of(rows)
    group = gr.CheckboxGroup(choices=methods, value=methods, visible=True)
    extras = "".join(each.drawn for each in drawings.analyses(folder))
    return [
        group,
        pictures.charts(rows),
        _files(name, methods),
        results.comparison_table(folder),
        front_view.drawn(folder),
        _grown(runs, models, folder),
        _ANALYSES + (extras or words.note("info", _NO_ANALYSES)),
    ]


def _grown(runs: Runs, models: Models, folder: Path) -> str:
    """The blocks of every growth of a run, and the reports there are."""
    drawn = ["<h2>What has grown</h2>"]
    for entry in runs.entries():
        if entry.folder != folder or entry.growth_file is None:
            continue
        growth = drawings.growth_of(entry.growth_file)
        if growth is None:
            drawn.append(
                words.note("error", f"{entry.label}: the file is damaged.")
            )
            continue
        drawn.append(drawings.blocks(entry.label, growth, models.num_blocks))
        if entry.key in models.reports:
            drawn.append(words.plain(models.reports[entry.key]))
    if len(drawn) == 1:
        drawn.append(words.note("info", "No method of this run has grown."))
    return "".join(drawn)


def find(runs: Runs, key: str, shown: list[str]) -> Found:
    """The download of a key, `RUN/FILE` of the files that the tab offers."""
    name, _, file = key.rpartition("/")
    folder = runs.folder(name)
    if folder is None:
        return None
    made = f"{name}-{file}"
    if file == "results.csv":
        return made, results.as_csv(read_rows(folder))
    if file == "results.json":
        return made, results.as_json(read_rows(folder))
    if file == "curves.svg":
        return made, pictures.as_svg(read_rows(folder), shown)
    return (made, _data(runs, folder)) if file == "analyses.json" else None


def _data(runs: Runs, folder: Path) -> str:
    """What is drawn below the curves, as JSON."""
    blocks = {
        entry.label: drawings.growth_of(entry.growth_file)
        for entry in runs.entries()
        if entry.folder == folder and entry.growth_file is not None
    }
    values = {each.file: each.values for each in drawings.analyses(folder)}
    return json.dumps({"grown": blocks, "analyses": values}, indent=1)


def _files(name: str | None, shown: list[str]) -> str:
    """Links to the downloads."""
    links = [
        link("Data as CSV", "run", f"{name}/results.csv", "see-csv"),
        link("Data as JSON", "run", f"{name}/results.json", "see-json"),
        link("Curves as SVG", "run", f"{name}/curves.svg", "see-svg", shown),
        link(_DATA, "run", f"{name}/analyses.json", "see-data"),
    ]
    return f'<p class="kg-links">{" ".join(links)}</p>'

"""See: curves, table, blocks, layer scores and rank map of a run."""

import json
from pathlib import Path
from typing import Any

from . import drawings
from . import results
from . import words
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import Runs
from .runs import read_rows
from .served import Served

_NO_RUN = (
    "No finished run yet. Train a model on the Train tab, or start the app on "
    "the folder of a comparison."
)


def build(tab: Any, runs: Runs, models: Models, served: Served) -> Any:
    """Lay out the tab and wire it.

    Args:
        tab: the `gr.Tab` that it stands in.
        runs: finished runs.
        models: whose growth report is shown.
        served: where downloads go.

    Returns:
        The choice of a run.
    """
    run = gr.Dropdown([], label="Run", interactive=True, elem_id="see-run")
    shown = gr.CheckboxGroup(
        [], label="Methods in the curves", elem_id="see-methods"
    )
    curves = gr.HTML(words.note("info", _NO_RUN), elem_id="see-curves")
    with gr.Row():
        files = [
            gr.DownloadButton(label, visible=False, elem_id=f"see-{kind}")
            for label, kind in (
                ("Data as CSV", "csv"),
                ("Data as JSON", "json"),
                ("Curves as SVG", "svg"),
            )
        ]
    table = gr.HTML(elem_id="see-table")
    grown = gr.HTML(elem_id="see-blocks")
    extras = gr.HTML(elem_id="see-analyses")
    data = gr.DownloadButton(
        "Blocks, layer scores and rank map as JSON",
        visible=False,
        elem_id="see-data",
    )
    redraw = [shown, curves, *files, table, grown, extras, data]

    def draw(name: str | None) -> list[Any]:
        return _draw(runs, models, served, name)

    def filter_curves(name: str | None, kept: list[str]) -> list[Any]:
        rows = _rows(runs, name)
        return [results.charts(rows, kept), *_files(served, rows, kept)]

    def draw_grown(name: str | None) -> str:
        folder = runs.folder(name) if name else None
        return _grown(runs, models, folder) if folder else ""

    run.change(draw, run, redraw, **QUIET)
    # The model may have been loaded since.
    tab.select(draw_grown, run, grown, **QUIET)
    shown.input(filter_curves, [run, shown], [curves, *files], **QUIET)
    return run


def choices(runs: Runs, chosen: str | None = None) -> Any:
    """The runs to choose from, the given or newest first.

    Args:
        runs: finished runs.
        chosen: which one is. Defaults to `None`: the first.
    """
    names = [folder.name for folder in runs.folders()]
    if chosen not in names:
        chosen = names[0] if names else None
    return gr.Dropdown(choices=names, value=chosen, visible=bool(names))


def _rows(runs: Runs, name: str | None) -> list[dict[str, Any]]:
    folder = runs.folder(name) if name else None
    return read_rows(folder) if folder else []


def _draw(
    runs: Runs, models: Models, served: Served, name: str | None
) -> list[Any]:
    folder = runs.folder(name) if name else None
    if folder is None:
        hidden = gr.DownloadButton(visible=False)
        empty = gr.CheckboxGroup(choices=[], visible=False)
        said = words.note("info", _NO_RUN)
        return [empty, said, *[hidden] * 3, "", "", "", hidden]
    rows = read_rows(folder)
    methods = results.methods_of(rows)
    group = gr.CheckboxGroup(choices=methods, value=methods, visible=True)
    extras = drawings.analyses(folder)
    return [
        group,
        results.charts(rows),
        *_files(served, rows, methods),
        results.comparison_table(folder),
        _grown(runs, models, folder),
        "".join(extra.drawn for extra in extras)
        or words.note(
            "info",
            "No layer scores or rank map in this run. They are shown where "
            "`keras-grow rank --save` or `RankMap.save` has written them into "
            "its folder, as JSON.",
        ),
        _data(runs, served, folder, extras),
    ]


def _data(
    runs: Runs, served: Served, folder: Path, extras: list[drawings.Analysis]
) -> Any:
    """The download of what is drawn below the curves."""
    blocks = {
        entry.label: drawings.growth_of(entry.growth_file)
        for entry in runs.entries()
        if entry.folder == folder and entry.growth_file is not None
    }
    values = {extra.file: extra.values for extra in extras}
    text = json.dumps({"grown": blocks, "analyses": values}, indent=1)
    return gr.DownloadButton(
        value=served.text("analyses.json", text),
        visible=bool(blocks or values),
    )


def _grown(runs: Runs, models: Models, folder: Path) -> str:
    """The blocks of every growth of a run, and the report of the loaded one."""
    drawn = ["<h3>What has grown</h3>"]
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
        if models.wanted("grown") == entry.key and models.growth_report:
            drawn.append(words.plain(models.growth_report))
    if len(drawn) == 1:
        drawn.append(words.note("info", "No method of this run has grown."))
    return "".join(drawn)


def _files(
    served: Served, rows: list[dict[str, Any]], shown: list[str]
) -> list[Any]:
    """The downloads."""
    if not rows:
        return [gr.DownloadButton(visible=False)] * 3
    texts = {
        "results.csv": results.as_csv(rows),
        "results.json": results.as_json(rows),
        "curves.svg": results.as_svg(rows, shown),
    }
    return [
        gr.DownloadButton(value=served.text(name, text), visible=True)
        for name, text in texts.items()
    ]

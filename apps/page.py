"""The page: four tabs over the same models."""

from pathlib import Path
from typing import Any

from . import compare_tab
from . import see_tab
from . import take_away_tab
from . import train_tab
from . import words
from .jobs import Jobs
from .models import PANES
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import Runs
from .training import Trainer

_HERE = Path(__file__).parent
CSS = (_HERE / "style.css").read_text("utf-8")
HEAD = f"<script>{(_HERE / 'page.js').read_text('utf-8')}</script>"
# Fonts of the visitor's own system: nothing comes from another site.
THEME = gr.themes.Default(
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    # Gradio's own are too pale to read on white.
    block_info_text_color="*neutral_500",
    body_text_color_subdued="*neutral_500",
    input_placeholder_color="*neutral_500",
    # Seen on white and on the dark page alike: the line under a tab, focus.
    color_accent="*primary_600",
    # White on it has a contrast of 5.2; on Gradio's own orange of 2.8.
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)
_REFRESH = 1.5  # Seconds.


def build(runs: Runs, models: Models, trainer: Trainer) -> Any:
    """Lay out the page.

    Args:
        runs: finished runs.
        models: what answers; it need not be loaded yet.
        trainer: what trains.

    Returns:
        The page, a `gr.Blocks`, to be launched with `THEME`, `CSS` and `HEAD`.
    """
    jobs = Jobs()
    with gr.Blocks(
        title="keras_grow",
        analytics_enabled=False,
        delete_cache=(3600, 86400),
    ) as page:
        gr.HTML(
            '<h1 class="kg-title">keras_grow</h1><p class="kg-about">Teach a '
            "language model something new and see what it forgets.</p>"
        )
        # Outside of the tabs: what is not open is not mounted, nor kept.
        history, owner = _kept("questions", []), _kept("owner", "")
        status = gr.HTML(words.status("Starting."), elem_id="status")
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare"):
                compare = compare_tab.build(page, models, jobs, history)
            with gr.Tab("See", id="see") as see_page:
                see = see_tab.build(see_page, runs, models)
            with gr.Tab("Train", id="train"):
                train = train_tab.build(page, trainer, models, owner)
            with gr.Tab("Take away", id="take") as take_page:
                growth = take_away_tab.build(runs)
        seen = gr.State("")
        listed = gr.State(0)
        timer = gr.Timer(_REFRESH)
        offered = [compare.tuned, compare.grown, see, growth]

        def refresh(
            seen: str, listed: int, owner: str, request: gr.Request
        ) -> list[Any]:
            """What may have changed since this visitor's last look."""
            before = jobs.before(str(request.session_hash))
            line = words.status(_status(models, before))
            headings = [
                words.pane_heading(
                    *compare_tab.TITLES[pane], models.parts[pane]
                )
                for pane in PANES
            ]
            finished = trainer.finished
            offers = [gr.skip()] * len(offered)
            if finished != listed:
                offers = _offers(runs)
            look = repr((line, headings, trainer.progress, owner))
            shown = [line, *headings, *train_tab.shown(trainer.progress, owner)]
            if look == seen:
                shown = [gr.skip()] * len(shown)
            return [*shown, *offers, look, finished]

        def leave(request: gr.Request) -> None:
            jobs.leave(str(request.session_hash))

        def first_choices(request: gr.Request) -> list[Any]:
            """What is offered; chosen are a link's models or the loaded."""
            wanted = {pane: models.wanted(pane) for pane in ("tuned", "grown")}
            for pane in wanted:
                linked = runs.entry(request.query_params.get(pane))
                if linked and linked.is_grown == (pane == "grown"):
                    wanted[pane] = linked.key
            return [
                *_pane_choices(runs, wanted),
                see_tab.choices(runs),
                take_away_tab.choices(runs),
            ]

        def compare_trained(tuned: str | None, grown: str | None) -> list[Any]:
            key = trainer.progress.key
            entry = runs.entry(key)
            chosen = {"tuned": tuned, "grown": grown}
            if entry is not None:
                chosen["grown" if entry.is_grown else "tuned"] = key
            return [
                *_pane_choices(runs, chosen),
                gr.Tabs(selected="compare"),
            ]

        gr.on(
            [timer.tick, page.load],
            refresh,
            [seen, listed, owner],
            [status, *compare.headings, *train.view, *offered, seen, listed],
            **QUIET,
        )
        page.load(first_choices, None, offered, **QUIET)
        # What is shown first where nothing was to be chosen before.
        for tab, chosen, own in (
            (see_page, see, see_tab),
            (take_page, growth, take_away_tab),
        ):
            tab.select(
                lambda value, own=own: own.choices(runs, value),
                chosen,
                chosen,
                **QUIET,
            )
        page.unload(leave)
        train.compare.click(
            compare_trained,
            [compare.tuned, compare.grown],
            [compare.tuned, compare.grown, tabs],
            **QUIET,
        )
    return page


def _kept(name: str, default: Any) -> Any:
    """A value that a visitor's browser keeps."""
    # Given, so that it can be read after a restart; it protects nothing.
    return gr.BrowserState(
        default, storage_key=f"keras_grow_{name}", secret="keras_grow"
    )


def _status(models: Models, before: int | None) -> str:
    """One line on how things stand for a visitor."""
    if before:
        noun = "prompt is" if before == 1 else "prompts are"
        return f"Your prompt waits: {before} {noun} before it."
    loading = models.loading()
    if loading:
        return f"Models are loading. {loading} You can ask already."
    if models.parts["base"].state == "failed":
        return "The base model did not load; see below."
    return "Your prompt is being answered." if before == 0 else "Ready."


def _offers(runs: Runs) -> list[Any]:
    """The lists after a training; what a visitor chose stays chosen."""
    found = runs.entries()
    lists: list[list[Any]] = [
        [(e.label, e.key) for e in found if not e.is_grown],
        [(e.label, e.key) for e in found if e.is_grown],
        see_tab.options(runs),
        take_away_tab.options(runs),
    ]
    return [gr.Dropdown(choices=each, visible=bool(each)) for each in lists]


def _pane_choices(runs: Runs, chosen: dict[str, str | None]) -> list[Any]:
    """The models that the panes can have, and those that they have."""
    found = runs.entries()
    updates = []
    for pane in ("tuned", "grown"):
        options = [
            (entry.label, entry.key)
            for entry in found
            if entry.is_grown == (pane == "grown")
        ]
        updates.append(
            gr.Dropdown(
                choices=options,
                value=chosen[pane],
                visible=bool(options),
            )
        )
    return updates

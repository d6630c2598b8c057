"""The page: four tabs over the same models."""

import os
from pathlib import Path
from typing import Any

from . import access
from . import compare_tab
from . import pane
from . import placing
from . import see_tab
from . import take_away_tab
from . import train_tab
from . import train_words
from . import words
from .asking import Visitors
from .catalog import BASE
from .history import PANES
from .links import linked
from .models import Models
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr
from .runs import Runs
from .trainer import Trainer

_HERE = Path(__file__).parent
CSS = (_HERE / "style.css").read_text("utf-8")
HEAD = "".join(
    f"<script>{(_HERE / name).read_text('utf-8')}</script>"
    for name in ("page.js", "compare.js", "kept.js")
)
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
    """Lay out the page, to be launched with `THEME`, `CSS` and `HEAD`.

    The models need not be loaded yet.
    """
    visitors = Visitors()
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
        # Given, so that it can be read after a restart; it protects nothing.
        owner = gr.BrowserState(
            "", storage_key="keras_grow_owner", secret="keras_grow"
        )
        history, votes = (gr.JSON([], visible=False) for _ in range(2))
        status = gr.HTML(words.status("Starting.", ""), elem_id="status")
        with gr.Tabs() as tabs:
            with gr.Tab("Compare", id="compare"):
                compare = compare_tab.build(
                    page, models, visitors, history, votes
                )
            with gr.Tab("See", id="see") as see_page:
                see = see_tab.build(see_page, runs, models)
            with gr.Tab("Train", id="train"):
                training, to_compare = train_tab.build(
                    page, trainer, models, owner
                )
            with gr.Tab("Take away", id="take") as take_page:
                growth = take_away_tab.build(runs)
        seen = gr.State("")
        listed = gr.State(None)
        timer = gr.Timer(_REFRESH)
        offered = [*compare.choosers, *compare.mix, compare.mixed, see, growth]

        def refresh(
            request: gr.Request,
            seen: str,
            listed: int | None,
            owner: str,
            *chosen: Any,
        ) -> list[Any]:
            """What may have changed since this visitor's last look."""
            *values, mixed, run, model = chosen
            keys, mix = values[:PANES], values[PANES:]
            now, finished = trainer.status, trainer.finished
            look = [
                words.status(_status(models), _memory()),
                *[pane.heading(models.part(key)) for key in keys],
            ]
            own = access.visitor(request, owner)
            named = repr((look, now, own))
            shown = [*look, *train_words.shown(now, own)]
            if named == seen:
                shown = [gr.skip()] * len(shown)
            offers = [gr.skip()] * len(offered)
            # At first `first_choices` gives them.
            if listed not in (None, finished):
                offers = [
                    *placing.offers(models, keys, mixed, mix),
                    see_tab.choices(runs, run),
                    take_away_tab.choices(runs, model),
                ]
            return [*shown, *offers, named, finished]

        def leave(request: gr.Request) -> None:
            visitors.leave(str(request.session_hash))

        def first_choices(request: gr.Request) -> list[Any]:
            """What is offered; chosen are a link's models or the loaded."""
            chosen = linked(request, "pane")
            for key, _ in chosen:
                models.prepare(key)
            mix = zip(*linked(request, "mix"), strict=True)
            offers = placing.offers(models, (), *map(list, mix))
            return [
                *placing.place(
                    models, chosen or [(k, 1.0) for k in models.first()]
                ),
                *offers[PANES:],
                see_tab.choices(runs),
                take_away_tab.choices(runs),
            ]

        def compare_trained(*chosen: Any) -> list[Any]:
            """The panes as they are, and the new model in one beside them."""
            key, opened = trainer.status.key, chosen[-1]
            dials = zip(chosen[:PANES], chosen[PANES:-1], strict=True)
            panes = [
                pair if own else None
                for pair, own in zip(dials, opened, strict=True)
            ]
            keys = [pair and pair[0] for pair in panes]
            if runs.entry(key) is not None:
                models.prepare(key)
                free = panes.index(None) if None in panes else PANES - 1
                at = keys.index(key) if key in keys else free
                panes[at] = (key, 1.0)
            return [*placing.place(models, panes), gr.Tabs(selected="compare")]

        gr.on(
            [timer.tick, page.load],
            refresh,
            [seen, listed, owner, *offered],
            [status, *compare.headings, *training, *offered, seen, listed],
            **QUIET,
        )
        page.load(
            first_choices,
            None,
            [*compare.placed, *offered[PANES:]],
            **QUIET,
        )
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
        to_compare.click(
            compare_trained,
            [*compare.choosers, *compare.dials, compare.opened],
            [*compare.placed, tabs],
            **QUIET,
        )
    return page


def _status(models: Models) -> str:
    """One line on how things stand."""
    loading = models.loading()
    if loading:
        return f"{loading} You can ask already."
    if models.part(BASE).state == "failed":
        return "The base model did not load; see below."
    return "Ready."


def _memory() -> str:
    """What the app's process holds, where the system tells."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return ""
    found = words.size(pages * os.sysconf("SC_PAGE_SIZE"))
    return f"{found} of memory in use."

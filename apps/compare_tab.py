"""Compare: one prompt, several models, their answers side by side."""

from dataclasses import dataclass
from typing import Any

from . import blind_tab
from . import pane as html
from . import pane_parts
from . import placing
from . import settings
from .answers import MAX_PROMPT
from .asking import Visitors
from .compare_events import CompareEvents
from .history import KEPT
from .history import NO_HISTORY
from .history import PANES
from .history import remembered
from .history import show_history
from .links import follow_link
from .links import link as link_of
from .models import Models
from .quick_gradio import ANSWERED
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr

_LINK = "(query) => showQuery(query)"
_READ_ASKED = '(latest) => [latest, readKept("asked")]'
_WRITE_ASKED = """(history, again) =>
  writeKept("asked", history) ? again : again + 1"""
# Drift is off at first where the page is narrow.
_WIDE = "() => window.innerWidth > 700"


@dataclass(frozen=True)
class CompareTab:
    """Components that the rest of the page fills.

    `opened` says which panes are open. `mix` has the dials of the growths that
    are mixed, `mixed` their keys. The others are one per pane, from the top
    down; `more`, `alone` and `away` are buttons that go on, ask and close.
    """

    opened: Any
    mix: list[Any]
    mixed: Any
    columns: list[Any]
    choosers: list[Any]
    headings: list[Any]
    texts: list[Any]
    dials: list[Any]
    notes: list[Any]
    more: list[Any]
    alone: list[Any]
    away: list[Any]

    @property
    def placed(self) -> list[Any]:
        """What `place` fills."""
        return [*self.columns, *self.choosers, *self.dials, self.opened]


def build(
    page: Any, models: Models, visitors: Visitors, history: Any, votes: Any
) -> CompareTab:
    """Lay out the tab and wire it.

    `history` and `votes` are lists that the visitor's browser keeps.
    """
    events = CompareEvents(models, visitors)
    with gr.Row(equal_height=True, elem_id="asking"):
        prompt = gr.Textbox(
            label="Prompt",
            info="Shift+Enter asks, Enter begins a new line.",
            lines=2,
            max_lines=8,
            max_length=MAX_PROMPT,
            placeholder="Text for the models to continue",
            scale=4,
            elem_id="prompt",
        )
        with gr.Column(scale=1, min_width=220):
            examples = gr.Dropdown(
                [], label="Examples", value=None, elem_id="examples"
            )
            with gr.Row():
                ask = gr.Button(
                    "Ask all", variant="primary", min_width=90, elem_id="ask"
                )
                stop = gr.Button("Stop", min_width=60, elem_id="stop")
    # There before the page has loaded: a quick visitor asks these.
    placed = placing.filled(models, [(key, 1.0) for key in models.first()])
    with gr.Row(elem_id="panes"):
        panes = [pane_parts.build(models, *own) for own in enumerate(placed)]
    with gr.Row():
        add = gr.Button("Add a pane", size="sm", elem_id="add-pane")
        growth = gr.UploadButton(
            "Add a growth file",
            size="sm",
            file_types=[".safetensors"],
            elem_id="add-growth",
        )
        link = gr.Button("Make a link", size="sm", elem_id="make-link")
    link_box = gr.Textbox(
        label="Link",
        interactive=False,
        visible="hidden",
        buttons=["copy"],
        elem_id="link",
    )
    own = settings.build(models.is_chat)
    opened = gr.State([pair is not None for pair in placed])
    parts = map(list, zip(*panes, strict=True))
    tab = CompareTab(opened, own.mix, gr.State([]), *parts)
    kept = [gr.State(None) for _ in panes]
    with gr.Accordion("Differences, word by word", open=False, elem_id="diff"):
        with gr.Row():
            pair = [
                gr.Dropdown(
                    [(f"Model {i + 1}", i) for i in range(PANES)],
                    value=value,
                    label=label,
                    elem_id=f"diff-{value}",
                )
                for label, value in (("From", 0), ("To", 2))
            ]
        shown = gr.HTML(elem_id="difference")
    with gr.Accordion("Earlier prompts", open=False, elem_id="past"):
        empty = gr.HTML(NO_HISTORY)
        past = gr.Dataset(
            components=[gr.Textbox(visible=False)],
            samples=[],
            type="index",
            label="Earlier prompts",
            samples_per_page=KEPT,
            visible=False,
            elem_id="history",
        )
    fields = [prompt, *own.fields]
    form = [*kept, opened, *tab.choosers, *tab.dials, tab.mixed, *own.mix]
    form += [own.plain, *fields]
    outputs = [*tab.texts, *tab.notes, *kept]
    latest = gr.State(None)
    blind_tab.build(events, form, history, votes)

    def asks(trigger: Any, which: Any, mode: str, **options: Any) -> None:
        ran = gr.on(
            trigger,
            events.asking(which, mode),
            form,
            [*outputs, latest],
            **ANSWERED,
            **options,
        )
        ran.failure(events.refused, None, tab.notes, **QUIET)

    asks([ask.click, prompt.submit], range(PANES), "ask")
    for index in range(PANES):
        chooser, dial = tab.choosers[index], tab.dials[index]
        asks([tab.alone[index].click], [index], "ask")
        asks([tab.more[index].click], [index], "continue")
        asks([dial.input], [index], "again", trigger_mode="multiple")
        chooser.input(
            events.choose, chooser, [dial, tab.headings[index]], **QUIET
        )
        chooser.change(
            events.switched(index),
            [chooser, kept[index], own.plain],
            outputs[index::PANES],
            **ANSWERED,
        )
        tab.away[index].click(
            lambda opened, index=index: _opened(opened, index, False),
            opened,
            [opened, *tab.columns],
            **QUIET,
        )
    add.click(
        lambda opened: (
            _opened(opened, opened.index(False), True)
            if False in opened
            else [gr.skip()] * (1 + PANES)
        ),
        opened,
        [opened, *tab.columns],
        **QUIET,
    )
    stop.click(events.stop, None, None, **QUIET)
    growth.upload(
        events.uploaded,
        [growth, tab.mixed, *own.mix],
        [*tab.choosers, *own.mix, tab.mixed],
        **QUIET,
    )
    examples.input(
        lambda text: [text, None], examples, [prompt, examples], **QUIET
    )
    own.clear.click(events.new_chat, None, outputs, **ANSWERED)
    link.click(link_of, form, link_box, **QUIET).then(
        None, link_box, link_box, js=_LINK
    )
    link.click(lambda: gr.Textbox(visible=True), None, link_box, **QUIET)
    changes = [each.input for each in pair] + [each.change for each in kept]
    gr.on(changes, _differ, [*pair, *kept], shown, **QUIET)
    past.click(
        events.from_history,
        [past, history, own.plain, opened],
        [*fields, *outputs, *tab.placed, *own.mix, tab.mixed],
        **ANSWERED,
    )
    again = gr.Number(0, visible=False)
    gr.on(
        [latest.change, again.change],
        remembered,
        [latest, history],
        history,
        js=_READ_ASKED,
        **QUIET,
    ).then(None, [history, again], again, js=_WRITE_ASKED)
    page.load(None, None, [history, votes], js=blind_tab.READ)
    page.load(events.examples, None, [examples, own.drawing[-1]], **QUIET).then(
        follow_link, None, fields, **QUIET
    )
    page.load(None, None, own.drift, js=_WIDE)
    history.change(show_history, history, [past, empty], **QUIET)
    return tab


def _opened(opened: list[bool], index: int, there: bool) -> list[Any]:
    """Open a pane or take it away; one stays."""
    opened = [there if at == index else own for at, own in enumerate(opened)]
    if not any(opened):
        return [gr.skip()] * (1 + PANES)
    return [opened, *(gr.Column(visible=own) for own in opened)]


def _differ(first: int, second: int, *kept: Any) -> str:
    texts = [own["answer"]["text"] if own else "" for own in kept]
    return html.difference(texts[first].strip(), texts[second].strip())

"""The blind comparison below the panes: votes, win rate, export."""

import dataclasses
import random
from collections.abc import AsyncIterator
from typing import Any

from . import blind
from . import pane as html
from . import rows
from . import words
from .answers import Answer
from .answers import Question
from .asking import Asked
from .asking import begin
from .compare_events import CompareEvents
from .compare_events import Form
from .history import PANES
from .quick_gradio import ANSWERED
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr

_LEFT, _RIGHT = PANES, PANES + 1  # Panes that no other question asks.
# What the browser keeps of questions and of votes.
READ = "() => [readKept('asked'), readKept('votes')]"
_READ_TO_ASK = "(first, ...rest) => [readKept('votes'), ...rest]"
_READ_TO_VOTE = "(pair) => [pair, readKept('votes')]"
_ADD = "(votes) => { if (votes.length) addKept('votes', votes.at(-1)); }"
_FORGET = "() => { forgetKept('votes'); return [[], '']; }"
_DOWNLOAD = "(text, name) => { download(text, name); }"


def build(
    events: CompareEvents, form: list[Any], history: Any, votes: Any
) -> None:
    """Lay it out and wire it.

    `form` are the components of a `Form`; `history` and `votes` are kept by the
    visitor's browser.
    """
    with gr.Accordion("Blind comparison", open=False, elem_id="blind"):
        gr.HTML(
            '<p class="kg-about">Two models of the run answer a row that '
            "neither was trained on. Vote for the better answer; then you see "
            "which model wrote it. Your votes are kept in this browser.</p>"
        )
        with gr.Row():
            sides = [
                gr.Dropdown(
                    [(f"Model {i + 1}", i) for i in range(PANES)],
                    value=value,
                    label=label,
                )
                for label, value in (("First", 0), ("Second", 2))
            ]
            ask = gr.Button("Next pair", elem_id="next-pair")
        prompt = gr.HTML(elem_id="blind-prompt")
        with gr.Row():
            texts = [
                gr.HTML(html.answer(name, Answer()), elem_id=f"blind-{name}")
                for name in ("Left", "Right")
            ]
        with gr.Row():
            buttons = [
                gr.Button(label, interactive=False, elem_id=f"vote-{side}")
                for side, label in zip(
                    blind.VOTES,
                    ("Left is better", "Right is better", "Equal"),
                    strict=True,
                )
            ]
        result = gr.HTML(elem_id="blind-result")
        forget = gr.Button("Forget my votes", size="sm", elem_id="forget-votes")
    pair = gr.State(None)
    with gr.Row():
        exports = [
            gr.Button("Export JSONL", size="sm", elem_id="answers.jsonl"),
            gr.Button("Export Markdown", size="sm", elem_id="answers.md"),
        ]
    # A `gr.State` would stay with the server.
    text, name = (gr.Textbox("", visible="hidden") for _ in range(2))
    ask.click(
        asking(events),
        [votes, *sides, *form],
        [prompt, *texts, *buttons, pair],
        js=_READ_TO_ASK,
        **ANSWERED,
    )
    for side, button in zip(blind.VOTES, buttons, strict=True):
        button.click(
            lambda current, votes, side=side: vote(side, current, votes),
            [pair, votes],
            [pair, votes, result, *buttons],
            js=_READ_TO_VOTE,
            **QUIET,
        ).then(None, votes, None, js=_ADD)
    forget.click(None, None, [votes, result], js=_FORGET)
    writers = blind.as_jsonl, blind.as_markdown
    for button, write in zip(exports, writers, strict=True):
        button.click(
            lambda history, votes, file=button.elem_id, write=write: [
                write(history or [], votes or []),
                file,
            ],
            [history, votes],
            [text, name],
            js=READ,
            **QUIET,
        ).then(None, [text, name], None, js=_DOWNLOAD)


def asking(events: CompareEvents) -> Any:
    """A handler that shows the answers of two panes' models to the next row."""
    off = [gr.Button(interactive=False)] * 3

    def said(message: str) -> list[Any]:
        note = words.note("error", message)
        return [note, gr.skip(), gr.skip(), *off, None]

    async def run(
        request: gr.Request,
        votes: list[Any] | None,
        first: int,
        second: int,
        *values: Any,
    ) -> AsyncIterator[list[Any]]:
        form, visitor = Form.of(values), str(request.session_hash)
        choices = [form.choice(events.models, at) for at in (first, second)]
        there = form.opened[first] and form.opened[second]
        if not there or choices[0] == choices[1]:
            yield said("Choose two open panes with different models or dials.")
            return
        # The run that was given, or the newest.
        folder = next(iter(events.models.runs.folders()), None)
        models = [dataclasses.asdict(choice) for choice in choices]
        row = blind.next_row(
            rows.validation(folder) if folder else [], votes or [], models
        )
        if row is None:
            yield said("No row is left to vote on for these two.")
            return
        try:
            # From the sampler to where an answer ends.
            question = Question(row.prompt, *form.settings[1:7])
        except ValueError as error:
            yield said(str(error))
            return
        question = dataclasses.replace(question, drift=False)
        swapped = random.random() < 0.5
        order = choices[::-1] if swapped else choices
        panes = dict(zip((_LEFT, _RIGHT), map(Asked, order), strict=True))
        ask = events.visitors.begin(visitor, question, panes)
        found: dict[int, Answer] = {}
        try:
            begin(events.models, ask)
            async for found in ask.read():
                shown = [
                    html.answer(side, dataclasses.replace(found[at], model=""))
                    for side, at in (("Left", _LEFT), ("Right", _RIGHT))
                ]
                yield [words.plain(row.prompt), *shown, *off, None]
        finally:
            events.visitors.end(visitor, ask)
        bad = next((a for a in found.values() if a.state != "done"), None)
        if bad:
            yield said(bad.message or "Stopped.")
            return
        one, other = [found[_LEFT], found[_RIGHT]][:: -1 if swapped else 1]
        current = blind.Pair(
            row.prompt, row.response, one.model, other.model, swapped,
            (one.text.strip(), other.text.strip()),
            dataclasses.asdict(question), models,
        )  # fmt: skip
        on = [gr.Button(interactive=True)] * 3
        yield [*[gr.skip()] * 3, *on, dataclasses.asdict(current)]

    return run


def vote(side: str, current: Any, votes: list[Any] | None) -> list[Any]:
    """Count a vote, say whose answers these were, and how things stand."""
    if not current:
        return [gr.skip()] * 6
    own = blind.Pair(**current).voted(side)
    votes = [*(votes or []), dataclasses.asdict(own)]
    left = own.second if own.swapped else own.first
    said = f"Left was {left}. {blind.tally(votes)}"
    off = [gr.Button(interactive=False)] * 3
    return [None, votes, words.note("good", said), *off]

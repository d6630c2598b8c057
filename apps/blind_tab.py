"""The blind comparison below the panes: votes, win rate, export."""

import dataclasses
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from . import blind
from . import pane as html
from . import rows
from . import words
from .answers import Answer
from .answers import Question
from .asking import Asked
from .asking import Visitors
from .asking import begin
from .compare_events import CompareEvents
from .history import PANES
from .models import Models
from .quick_gradio import ANSWERED
from .quick_gradio import QUIET
from .quick_gradio import gradio as gr

_LEFT, _RIGHT = PANES, PANES + 1  # Panes that no other question asks.
_DOWNLOAD = """(text, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  return [text, name];
}"""


def build(
    models: Models,
    visitors: Visitors,
    choosers: list[Any],
    dials: list[Any],
    settings: list[Any],
    history: Any,
) -> None:
    """Lay it out and wire it.

    `settings` are sampler, temperature, top-k, length, seed and one line.
    """
    with gr.Accordion("Blind comparison", open=False, elem_id="blind"):
        gr.HTML(
            '<p class="kg-about">Two models of the run answer a row that '
            "neither was trained on. Vote for the better answer; then you see "
            "which model wrote it.</p>"
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
    pair, pairs = gr.State(None), gr.State([])
    with gr.Row():
        exports = {
            name: gr.Button(f"Export {label}", size="sm", elem_id=name)
            for name, label in (
                ("answers.jsonl", "JSONL"),
                ("answers.md", "Markdown"),
            )
        }
    # A `gr.State` would stay with the server.
    text, name = (gr.Textbox("", visible="hidden") for _ in range(2))
    events = CompareEvents(models, visitors)

    async def run(
        request: gr.Request,
        pairs: list[Any],
        first: int,
        second: int,
        *rest: Any,
    ) -> AsyncIterator[list[Any]]:
        keys, dials, values = (
            rest[:PANES],
            rest[PANES : 2 * PANES],
            rest[2 * PANES :],
        )
        folder = _folder(models)
        row = blind.next_row(
            rows.validation(folder) if folder else [], pairs, int(values[4])
        )
        off = [gr.Button(interactive=False)] * 3
        if row is None:
            said = "No row is left to vote on."
            yield [words.note("info", said), gr.skip(), gr.skip(), *off, None]
            return
        choices = [
            events.choice(keys[at], dials[at], ()) for at in (first, second)
        ]
        question = Question(row.prompt, *values)
        question = dataclasses.replace(question, drift=False)
        swapped = random.random() < 0.5
        order = choices[::-1] if swapped else choices
        panes = dict(zip((_LEFT, _RIGHT), map(Asked, order), strict=True))
        visitor = str(request.session_hash)
        ask = visitors.begin(visitor, list(panes))
        found: dict[int, Answer] = {}
        try:
            begin(models, ask, question, panes)
            async for found in ask.read():
                shown = [
                    html.answer(side, dataclasses.replace(found[at], model=""))
                    for side, at in (("Left", _LEFT), ("Right", _RIGHT))
                ]
                yield [words.plain(row.prompt), *shown, *off, None]
        finally:
            visitors.end(visitor, ask)
        left, right = found[_LEFT], found[_RIGHT]
        bad = next((a for a in (left, right) if a.state != "done"), None)
        if bad:
            yield [words.note("error", bad.message or "Stopped."), gr.skip(),
                   gr.skip(), *off, None]  # fmt: skip
            return
        one, other = (right, left) if swapped else (left, right)
        current = blind.Pair(
            row.prompt, row.response, one.model, other.model, swapped,
            (one.text.strip(), other.text.strip()),
            dataclasses.asdict(question),
        )  # fmt: skip
        on = [gr.Button(interactive=True)] * 3
        skipped = [gr.skip()] * 3
        yield [*skipped, *on, dataclasses.asdict(current)]

    def vote(side: str, current: Any, pairs: list[Any]) -> list[Any]:
        if not current:
            return [gr.skip()] * 6
        own = blind.Pair(**current).voted(side)
        pairs = [*pairs, dataclasses.asdict(own)]
        left = own.second if own.swapped else own.first
        said = f"Left was {left}. {blind.tally(pairs)}"
        off = [gr.Button(interactive=False)] * 3
        return [None, pairs, words.note("good", said), *off]

    ask.click(
        run,
        [pairs, *sides, *choosers, *dials, *settings],
        [prompt, *texts, *buttons, pair],
        **ANSWERED,
    )
    for side, button in zip(blind.VOTES, buttons, strict=True):
        button.click(
            lambda current, pairs, side=side: vote(side, current, pairs),
            [pair, pairs],
            [pair, pairs, result, *buttons],
            **QUIET,
        )
    for file, button in exports.items():
        write = blind.as_jsonl if file.endswith("l") else blind.as_markdown
        button.click(
            lambda history, pairs, file=file, write=write: [
                write(history or [], pairs),
                file,
            ],
            [history, pairs],
            [text, name],
            **QUIET,
        ).then(None, [text, name], None, js=_DOWNLOAD)


def _folder(models: Models) -> Path | None:
    """The run whose rows are voted on: the one given, or the newest."""
    return next(iter(models.runs.folders()), None)

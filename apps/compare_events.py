"""What happens on the first tab: asking, stopping, history and links."""

import dataclasses
from collections.abc import AsyncIterator
from collections.abc import Sequence
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

from . import pane
from . import rows
from .answers import Answer
from .answers import Question
from .asking import Asked
from .asking import Visitors
from .asking import begin
from .catalog import MIXED
from .choices import Choice
from .history import PANES
from .history import History
from .history import Kept
from .history import remembered
from .history import restored
from .history import turns_of
from .models import Models
from .placing import offers
from .quick_gradio import gradio as gr
from .settings import MIXES


@dataclasses.dataclass(frozen=True)
class Form:
    """What the page sends with every question.

    For each pane, `kept` is what it was asked last with its answer, `opened`
    whether it is there, `keys` what is chosen and `dials` where its dial
    stands. `mix` are the dials of the growths that are mixed. With `plain` a
    chat is shown as text, not as Markdown. `settings` are the fields of a
    `Question`.
    """

    history: History | None
    kept: list[Kept | None]
    opened: list[bool]
    keys: list[str]
    dials: list[float]
    mix: list[float]
    plain: bool
    settings: list[Any]

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Form":
        """Take the values in the order in which the page sends them."""
        found = iter(values)

        def next_ones(count: int) -> list[Any]:
            return [next(found) for _ in range(count)]

        return cls(
            next(found),
            next_ones(PANES),
            next(found),
            next_ones(PANES),
            next_ones(PANES),
            next_ones(MIXES),
            next(found),
            list(found),
        )


class CompareEvents:
    """Handlers that ask the models."""

    def __init__(self, models: Models, visitors: Visitors) -> None:
        self.models = models
        self.visitors = visitors

    def choice(self, key: str, dial: float, mix: Sequence[float]) -> Choice:
        """What answers in a pane in which this is chosen."""
        grown = list(self.models.grown())
        if key == MIXED:
            return Choice(key, dict(zip(grown, mix, strict=False)))
        return Choice(key, {key: dial} if key in grown else {})

    def choose(self, key: str) -> list[Any]:
        """Load what was chosen at once; show its dial, and how it stands."""
        try:
            for each in self.models.needs(self.choice(key, 1.0, ())):
                self.models.want(each, again=True)
        except ValueError:
            pass  # It has gone; the question will say so.
        return [self.dial(key), pane.heading(self.models.part(key))]

    def dial(self, key: str | None) -> Any:
        """The dial of a pane, there where a growth is chosen."""
        return gr.Slider(visible=key in self.models.grown())

    def asking(self, panes: Sequence[int], mode: str = "ask") -> Any:
        """A handler that asks those of the panes that are open.

        `mode` is "ask" for the prompt that stands there, "again" for what a
        pane was asked last, "continue" for an answer that was cut.
        """

        async def run(
            request: gr.Request, *values: Any
        ) -> AsyncIterator[list[Any]]:
            form = Form.of(values)
            asked = [index for index in panes if form.opened[index]]
            async for shown in self._run(request, form, asked, mode):
                yield shown

        return run

    async def _run(
        self, request: gr.Request, form: Form, panes: list[int], mode: str
    ) -> AsyncIterator[list[Any]]:
        visitor = str(request.session_hash)
        names = {key: name for name, key in self.models.offered()}
        titles = [names.get(key, "No model") for key in form.keys]
        there = list(compress(titles, form.opened))
        titles = [
            own if there.count(own) < 2 else f"{own}, model {number}"
            for number, own in enumerate(titles, 1)
        ]
        show = partial(self.shown, titles, form.plain)
        if mode != "ask":
            panes = [index for index in panes if form.kept[index]]
        if not panes:
            yield [gr.skip()] * (4 * PANES + 1)
            return
        try:
            if mode == "ask":
                question = Question(*form.settings)
            else:
                question = Question(**form.kept[panes[0]]["question"])  # type: ignore[index]
            asked = {
                index: self._asked(form, index, question, mode)
                for index in panes
            }
        except ValueError as error:
            refused = Answer("error", message=str(error))
            yield show(dict.fromkeys(panes, refused))
            return
        ask = self.visitors.begin(visitor, panes)
        answers = dict.fromkeys(panes, Answer())
        try:
            begin(self.models, ask, question, asked)
            async for answers in ask.read():
                yield show(answers, asked, question)
            if ask.left:
                return
        finally:
            self.visitors.end(visitor, ask)
        kept = {
            index: {
                "question": dataclasses.asdict(question),
                "choice": dataclasses.asdict(asked[index].choice),
                "turns": [list(turn) for turn in asked[index].turns],
                "answer": dataclasses.asdict(found),
            }
            for index, found in answers.items()
        }
        history: Any = gr.skip()
        if mode == "ask":
            history = remembered(kept, form.history)
        yield show(answers, asked, question, kept, history)

    def _asked(
        self, form: Form, index: int, question: Question, mode: str
    ) -> Asked:
        kept = form.kept[index]
        turns = turns_of(kept, through=mode == "ask") if question.chat else ()
        choice = self.choice(form.keys[index], form.dials[index], form.mix)
        before = None
        if mode == "continue" and kept:
            before = restored(kept["answer"])
            choice = Choice(**kept["choice"])
        return Asked(choice, turns, before)

    def shown(
        self,
        titles: Sequence[str],
        plain: bool,
        answers: dict[int, Answer],
        asked: dict[int, Asked] | None = None,
        question: Question | None = None,
        kept: dict[int, Kept] | None = None,
        history: Any = None,
    ) -> list[Any]:
        """Answers, notes, buttons and memory of all panes, and the history."""
        chat = question is not None and question.chat
        texts: list[Any] = []
        notes: list[Any] = []
        buttons: list[Any] = []
        memory: list[Any] = []
        for index in range(PANES):
            found = answers.get(index)
            if found is None:
                for column in (texts, notes, buttons, memory):
                    column.append(gr.skip())
                continue
            turns: list[tuple[str, str]] = []
            if question and asked and chat:
                turns = [*asked[index].turns, (question.prompt, "")]
            texts.append(
                pane.answer(titles[index], found, turns, chat and not plain)
            )
            notes.append(pane.note(found))
            cut = found.ended == "length" and found.state == "done"
            buttons.append(gr.Button(visible=cut))
            memory.append((kept or {}).get(index, gr.skip()))
        history = gr.skip() if history is None else history
        return [*texts, *notes, *buttons, *memory, history]

    def refused(self) -> list[Any]:
        """Say that a prompt was not let into the queue."""
        line = pane.note(
            Answer(
                "error",
                message="The prompt was not taken: a setting is out of its "
                "range, or too many prompts wait. Look at the settings and "
                "ask again.",
            )
        )
        return [line] * PANES

    def stop(self, request: gr.Request) -> None:
        """End the visitor's own answers where they are."""
        self.visitors.stop(str(request.session_hash))

    def uploaded(self, path: str) -> list[Any]:
        """Offer a growth file that a visitor brought."""
        file = Path(path)
        key = f"file/{file.parent.name[:12]}/{file.name}"
        self.models.add_growth(key, file)
        return offers(self.models)

    def examples(self) -> list[Any]:
        """Prompts of the run's own rows, and whether answers are one line."""
        found = rows.examples(self.models.runs)
        choices = [(text.replace("\n", " ")[:80], text) for text in found]
        return [
            gr.Dropdown(choices=choices),
            rows.ends_with_line(self.models.runs),
        ]

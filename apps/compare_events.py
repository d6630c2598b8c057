"""What happens on the first tab: asking, stopping, history and links."""

import dataclasses
from collections.abc import AsyncIterator
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from . import pane
from . import placing
from . import rows
from .answers import Answer
from .answers import Question
from .asking import Ask
from .asking import Asked
from .asking import Visitors
from .asking import begin
from .catalog import MIXED
from .catalog import Choice
from .history import PANES
from .history import SETTINGS
from .history import History
from .history import Kept
from .history import question_of
from .history import restored
from .history import turns_of
from .models import Models
from .quick_gradio import gradio as gr
from .showing import of_kept
from .showing import of_pane
from .showing import shown


@dataclasses.dataclass(frozen=True)
class Form:
    """What the page sends with every question.

    For each pane, `kept` is what it was asked last with its answer, `opened`
    whether it is there, `keys` what is chosen and `dials` where its dial
    stands. `mixed` are the growths to be mixed, and `mix` their dials. With
    `plain` a chat is shown as text, not as Markdown. `settings` are the fields
    of a `Question`.
    """

    kept: list[Kept | None]
    opened: list[bool]
    keys: list[str]
    dials: list[float]
    mixed: list[str]
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
            next_ones(PANES),
            next(found),
            next_ones(PANES),
            next_ones(PANES),
            next(found),
            next_ones(placing.MIXES),
            next(found),
            list(found),
        )

    def choice(self, models: Models, index: int) -> Choice:
        """What answers in a pane."""
        key = self.keys[index]
        if key == MIXED:
            return Choice(key, dict(zip(self.mixed, self.mix, strict=False)))
        grown = key in models.grown()
        return Choice(key, {key: self.dials[index]} if grown else {})


class CompareEvents:
    """Handlers that ask the models."""

    def __init__(self, models: Models, visitors: Visitors) -> None:
        self.models = models
        self.visitors = visitors

    def choose(self, key: str) -> list[Any]:
        """Load what was chosen at once; show its dial, and how it stands."""
        self.models.prepare(key, again=True)
        dial = gr.Slider(visible=key in self.models.grown())
        return [dial, pane.heading(self.models.part(key))]

    def switched(self, index: int) -> Any:
        """A handler that clears a pane whose answer another model wrote.

        What was asked stays, for the dial. So does a chat, which the new model
        goes on with; its note says who wrote the last answer.
        """

        async def run(
            request: gr.Request, key: str | None, kept: Kept | None, plain: bool
        ) -> list[Any]:
            visitor = str(request.session_hash)
            now = self.visitors.now(visitor, index)
            if now:
                writes: str | None = now.asked[index].choice.key
            else:
                writes = kept["choice"]["key"] if kept else None
            if key is None or writes in (None, key):
                return [gr.skip()] * 3
            await self.visitors.clear(visitor, [index])
            if kept and kept["question"]["chat"]:
                return of_kept(kept, plain)
            empty = dataclasses.asdict(Answer())
            return [
                pane.answer(self.models.label(key), Answer()),
                "",
                {**kept, "answer": empty} if kept else None,
            ]

        return run

    def asking(self, panes: Sequence[int], mode: str = "ask") -> Any:
        """A handler that asks those of the panes that are open.

        `mode` is "ask" for the prompt that stands there, "again" for what a
        pane was asked last, "continue" for an answer that was cut.
        """

        async def run(
            request: gr.Request, *values: Any
        ) -> AsyncIterator[list[Any]]:
            form = Form.of(values)
            visitor = str(request.session_hash)
            opened = [index for index in panes if form.opened[index]]
            try:
                found = {i: self._asked(visitor, form, i, mode) for i in opened}
            except ValueError as error:
                own = of_pane("Model", Answer("error", message=str(error)))
                yield shown(dict.fromkeys(opened, own))
                return
            asked = {i: pair[1] for i, pair in found.items() if pair}
            question = next((pair[0] for pair in found.values() if pair), None)
            if question is None:
                yield shown({})
                return
            ask = self.visitors.begin(visitor, question, asked)
            try:
                begin(self.models, ask)
                async for each in self._read(ask, form, mode == "ask"):
                    yield each
                # Gradio sends the last once more, which may then be too late.
                yield shown({})
            finally:
                self.visitors.end(visitor, ask)

        return run

    async def _read(
        self, ask: Ask, form: Form, new: bool
    ) -> AsyncIterator[list[Any]]:
        """What the page shows while the answers come, and keeps at the end."""
        titles = self._titles(form)
        async for answers in ask.read():
            ended = answers if ask.over else {}
            kept = {index: _kept(ask, index, ended[index]) for index in ended}
            panes = {
                index: of_pane(
                    titles[index],
                    found,
                    ask.question,
                    ask.asked[index].turns,
                    form.plain,
                    kept.get(index),
                )
                for index, found in answers.items()
            }
            latest = {str(index): own for index, own in kept.items()}
            yield shown(
                panes, {"panes": latest, "new": new} if latest else None
            )

    def _titles(self, form: Form) -> list[str]:
        """The names of the panes, each its own."""
        names = {key: name for name, key in self.models.offered()}
        titles = [names.get(key, "No model") for key in form.keys]
        there = list(compress(titles, form.opened))
        return [
            own if there.count(own) < 2 else f"{own}, model {number}"
            for number, own in enumerate(titles, 1)
        ]

    def _asked(
        self, visitor: str, form: Form, index: int, mode: str
    ) -> tuple[Question, Asked] | None:
        """What a pane is asked; None where it was asked nothing yet."""
        kept, choice = form.kept[index], form.choice(self.models, index)
        if mode == "ask":
            question = Question(*form.settings)
            return question, Asked(
                choice, turns_of(kept) if question.chat else ()
            )
        now = self.visitors.now(visitor, index)
        if now and mode == "again":  # It is being answered, as the dial was.
            return now.question, Asked(choice, now.asked[index].turns)
        if not kept:
            return None
        before = None
        if mode == "continue":
            before = restored(kept["answer"])
            choice = Choice(**kept["choice"])
        turns = tuple((said, answered) for said, answered in kept["turns"])
        return Question(**kept["question"]), Asked(choice, turns, before)

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

    async def new_chat(self, request: gr.Request) -> list[Any]:
        """Empty the panes, whatever is still being written."""
        await self.visitors.clear(str(request.session_hash), range(PANES))
        empty = [pane.answer("Chat", Answer()), "", None]
        return shown(dict.fromkeys(range(PANES), empty))[:-1]

    async def from_history(
        self,
        request: gr.Request,
        index: int,
        history: History,
        plain: bool,
        opened: list[bool],
    ) -> list[Any]:
        """Settings, answers and models of an earlier question."""
        item = history[index]
        answers = {int(n): of_kept(own, plain) for n, own in item.items()}
        await self.visitors.clear(str(request.session_hash), answers)
        settings = question_of(item)
        return [
            *(settings[name] for name in SETTINGS),
            *shown(answers)[:-1],
            *placing.asked_again(self.models, item, opened),
        ]

    def uploaded(self, path: str, mixed: list[str], *mix: float) -> list[Any]:
        """Offer a growth file that a visitor brought."""
        file = Path(path)
        key = f"file/{file.parent.name[:12]}/{file.name}"
        self.models.add_growth(key, file)
        return placing.offers(self.models, (), mixed, mix)

    def examples(self) -> list[Any]:
        """Prompts of the run's own rows, and whether answers are one line."""
        found = rows.examples(self.models.runs)
        choices = [(text.replace("\n", " ")[:80], text) for text in found]
        return [
            gr.Dropdown(choices=choices),
            rows.ends_with_line(self.models.runs),
        ]


def _kept(ask: Ask, pane: int, found: Answer) -> Kept:
    """What a pane was asked and how it was answered, as the page keeps it."""
    own = ask.asked[pane]
    return {
        "question": dataclasses.asdict(ask.question),
        "choice": dataclasses.asdict(own.choice),
        "turns": [list(turn) for turn in own.turns],
        "answer": dataclasses.asdict(found),
    }

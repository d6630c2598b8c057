"""A question on its way through the models, and whoever waits for it."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from collections.abc import Collection
from typing import Any

from .answers import Answer
from .answers import Question
from .catalog import Choice
from .catalog import Unavailable
from .models import Models
from .owner import Turns

# Seconds between two looks at an answer: to show one takes time, of which the
# models have the less.
_PAUSE = 0.1
# Models write some tokens at once: those that come in this time are one look.
_BURST = 0.02


@dataclasses.dataclass(frozen=True)
class Asked:
    """What one pane is asked.

    A turn is what the visitor said and what was answered. `before` is an answer
    that was cut and is to go on.
    """

    choice: Choice
    turns: tuple[tuple[str, str], ...] = ()
    before: Answer | None = None


class Ask:
    """A question to some panes and their answers, as its visitor reads them.

    It is made in the event loop of its reader; the owner of the models writes.
    `panes` are those that are still read. It is `over` once the answers that
    were read last are whole.
    """

    def __init__(self, question: Question, asked: dict[int, Asked]) -> None:
        self.question = question
        self.asked = asked
        self.panes = set(asked)
        self.begun = time.perf_counter()
        self.stopped = False
        self.over = False
        self._answers = dict.fromkeys(asked, Answer())
        self._open = set(asked)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._cleared = asyncio.Event()
        self._cleared.set()

    @property
    def left(self) -> bool:
        """Whether nobody reads any of it any more."""
        return not self.panes

    def tell(self, pane: int, answer: Answer) -> None:
        """Show this in a pane."""
        self._answers[pane] = answer
        self._wake()

    def fail(self, pane: int, message: str, state: str = "error") -> None:
        """Say what went wrong in a pane, beside what was written before."""
        known = self.asked[pane].before or Answer()
        written = self._answers[pane]
        known = written if written.text else known
        self.tell(
            pane, dataclasses.replace(known, state=state, message=message)
        )

    def close(self, pane: int) -> None:
        """Say that nothing more comes for a pane."""
        self._open.discard(pane)
        self._wake()

    def stop(self) -> None:
        """End the answers where they are."""
        self.stopped = True
        for pane, answer in list(self._answers.items()):
            if answer.state == "waiting":
                self.fail(pane, "Stopped before it began.", "empty")
                self.close(pane)

    def drop(self, panes: Collection[int]) -> None:
        """Leave panes to another question; the others go on."""
        if not self.panes.isdisjoint(panes):
            self._cleared.clear()
        self.panes.difference_update(panes)
        self.stopped = self.stopped or self.left
        self._wake()

    async def read(self) -> AsyncIterator[dict[int, Answer]]:
        """The answers as they change, until the last."""
        while not self.left:
            self._changed.clear()
            self.over = self.panes.isdisjoint(self._open)
            shown = time.perf_counter()
            found = {p: a for p, a in self._answers.items() if p in self.panes}
            yield found
            if self.panes == found.keys():
                self._cleared.set()
            if self.over:
                return
            await self._changed.wait()
            # Nobody waits longer for a first token.
            burst = _BURST if all(a.token_ids for a in found.values()) else 0.0
            pause = shown + _PAUSE - time.perf_counter()
            await asyncio.sleep(max(pause, burst))

    def end(self) -> None:
        """Say that its reader shows nothing more."""
        self.drop(self.asked)
        self._cleared.set()

    async def cleared(self) -> None:
        """Wait until no answer in a dropped pane is still to be shown."""
        await self._cleared.wait()

    def _wake(self) -> None:
        if not self._loop.is_closed():  # As it is when the app ends.
            self._loop.call_soon_threadsafe(self._changed.set)


class Visitors:
    """Who has asked what: a pane's new question takes the place of its old."""

    def __init__(self) -> None:
        self._asks: dict[str, list[Ask]] = {}

    def begin(
        self, visitor: str, question: Question, asked: dict[int, Asked]
    ) -> Ask:
        """A question of a visitor to some panes."""
        self.drop(visitor, asked)
        own = self._asks.setdefault(visitor, [])
        own.append(Ask(question, asked))
        return own[-1]

    def drop(self, visitor: str, panes: Collection[int]) -> None:
        """Leave panes of a visitor to what is shown there next."""
        for ask in self._asks.get(visitor, []):
            ask.drop(panes)

    async def clear(self, visitor: str, panes: Collection[int]) -> None:
        """Leave panes, and wait until no answer of them comes any more."""
        asks = [*self._asks.get(visitor, [])]
        self.drop(visitor, panes)
        for ask in asks:
            await ask.cleared()

    def now(self, visitor: str, pane: int) -> Ask | None:
        """The question that is being answered in a pane."""
        asks = self._asks.get(visitor, [])
        return next((ask for ask in asks if pane in ask.panes), None)

    def end(self, visitor: str, ask: Ask) -> None:
        """Forget a question that is answered, or nobody waits for."""
        ask.end()
        own = self._asks.get(visitor, [])
        own[:] = [other for other in own if other is not ask]
        if not own:
            self._asks.pop(visitor, None)

    def stop(self, visitor: str) -> None:
        """End a visitor's answers where they are."""
        for ask in self._asks.get(visitor, []):
            ask.stop()

    def leave(self, visitor: str) -> None:
        """Drop all that a visitor who is gone asked."""
        for ask in self._asks.pop(visitor, []):
            ask.drop(ask.asked)


def begin(models: Models, ask: Ask) -> None:
    """Answer in the owner's thread, with what is one model in one batch."""
    together: dict[Any, list[int]] = {}
    for pane, own in ask.asked.items():
        # What has to load, or goes on, or read another chat, goes alone.
        alone = own.before or not models.shares_base(own.choice)
        key = pane if alone else (own.turns, "shared")
        together.setdefault(key, []).append(pane)
    for panes in together.values():
        models.owner.add(_answer(models, ask, panes))


def _answer(models: Models, ask: Ask, panes: list[int]) -> Turns:
    """Answers of some panes, whatever goes wrong being theirs alone."""
    try:
        ready = []
        for pane in panes:
            try:
                keys = models.needs(ask.asked[pane].choice)
                for key in keys:
                    future = models.want(key)
                    while not future.done() and not ask.stopped:
                        message = models.part(key).message
                        ask.tell(pane, Answer(message=message))
                        yield future
                for key in () if ask.stopped else keys:
                    models.check(key)
                ready.append(pane)
            except Unavailable as error:
                ask.fail(pane, str(error), error.state)
        if ready and not ask.stopped:
            yield from _write(models, ask, ready)
    except Exception as error:
        for pane in panes:
            ask.fail(pane, str(error) or type(error).__name__)
    finally:
        for pane in panes:
            ask.close(pane)


def _write(models: Models, ask: Ask, panes: list[int]) -> Turns:
    """A token of every pane a turn, then how far each drifts."""
    question, own = ask.question, ask.asked[panes[0]]
    before = own.before or Answer()
    prompt = models.prompt(question, own.turns)
    found = models.together(
        [ask.asked[pane].choice for pane in panes],
        prompt,
        int(question.length),
        question.sampling(),
        ("\n",) if question.one_line and not question.chat else (),
        before.token_ids,
    )
    while not found.whole.is_read:
        found.whole.read_piece()
        yield None
        if ask.stopped:
            return
    first = 0.0
    answers: dict[int, Answer] = {}
    while not (found.whole.finished or ask.stopped):
        found.whole.advance()
        now = time.perf_counter() - ask.begun
        first = first or now
        for pane, label, written in zip(
            panes, found.labels, found.whole.answers, strict=True
        ):
            if pane in answers and answers[pane].state == "done":
                continue
            new = len(written.logprobs)
            answers[pane] = Answer(
                "done" if written.finished else "writing",
                written.text,
                token_ids=tuple(written.token_ids),
                lengths=before.lengths + tuple(written.lengths),
                logprobs=before.logprobs + tuple(written.logprobs),
                ended=written.finished or "",
                first=first,
                rate=(new - 1) / (now - first) if now > first else 0.0,
                cut=written.cut,
                model=label,
            )
            ask.tell(pane, answers[pane])
        yield None
    for pane, answer in answers.items():
        if answer.state == "writing":
            answer = dataclasses.replace(answer, state="stopped")
            ask.tell(pane, answer)
        # Where the prompt was cut, the base would read another part of it.
        if question.drift and not answer.cut and pane in ask.panes:
            yield None
            drift = models.drift(
                ask.asked[pane].choice,
                prompt,
                answer.token_ids,
                answer.logprobs,
            )
            ask.tell(pane, dataclasses.replace(answer, drift=tuple(drift)))
        ask.close(pane)

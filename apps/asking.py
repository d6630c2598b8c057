"""A question on its way through the models, and whoever waits for it."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from collections.abc import Sequence
from typing import Any

from .answers import Answer
from .answers import Question
from .choices import Choice
from .choices import Unavailable
from .models import Models
from .owner import Turns

# Seconds between two looks at an answer: to show one takes time, of which the
# models have the less.
_PAUSE = 0.1
_STOPPED = Answer("empty", message="Stopped before it began.")


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
    """Answers to one question, as its visitor reads them.

    It is made in the event loop of its reader; the owner of the models writes.
    """

    def __init__(self, panes: Sequence[int]) -> None:
        self.begun = time.perf_counter()
        self.stopped = False
        self.left = False
        self._answers = dict.fromkeys(panes, Answer())
        self._open = set(panes)
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def tell(self, pane: int, answer: Answer) -> None:
        """Show this in a pane."""
        self._answers[pane] = answer
        self._wake()

    def close(self, pane: int) -> None:
        """Say that nothing more comes for a pane."""
        self._open.discard(pane)
        self._wake()

    def stop(self) -> None:
        """End the answers where they are."""
        self.stopped = True
        for pane, answer in list(self._answers.items()):
            if answer.state == "waiting":
                self.tell(pane, _STOPPED)
                self.close(pane)

    def leave(self) -> None:
        """End all that is done for it: nobody reads it any more."""
        self.stopped = self.left = True
        self._wake()

    async def read(self) -> AsyncIterator[dict[int, Answer]]:
        """The answers as they change, until the last."""
        while not self.left:
            self._changed.clear()
            over, answers = not self._open, dict(self._answers)
            shown = time.perf_counter()
            yield answers
            if over:
                return
            await self._changed.wait()
            await asyncio.sleep(shown + _PAUSE - time.perf_counter())

    def _wake(self) -> None:
        if not self._loop.is_closed():  # As it is when the app ends.
            self._loop.call_soon_threadsafe(self._changed.set)


class Visitors:
    """Who has asked what: a pane's new question takes the place of its old."""

    def __init__(self) -> None:
        self._asks: dict[str, list[tuple[Ask, frozenset[int]]]] = {}

    def begin(self, visitor: str, panes: Sequence[int]) -> Ask:
        """A question of a visitor to some panes."""
        own = self._asks.setdefault(visitor, [])
        for ask, others in own:
            if others & set(panes):
                ask.leave()
        ask = Ask(panes)
        own.append((ask, frozenset(panes)))
        return ask

    def end(self, visitor: str, ask: Ask) -> None:
        """Forget a question that is answered, or nobody waits for."""
        ask.leave()
        own = self._asks.get(visitor, [])
        own[:] = [pair for pair in own if pair[0] is not ask]
        if not own:
            self._asks.pop(visitor, None)

    def stop(self, visitor: str) -> None:
        """End a visitor's answers where they are."""
        for ask, _ in self._asks.get(visitor, []):
            ask.stop()

    def leave(self, visitor: str) -> None:
        """Drop all that a visitor who is gone asked."""
        for ask, _ in self._asks.pop(visitor, []):
            ask.leave()

    def waits(self, visitor: str) -> bool:
        """Whether answers of a visitor are being written."""
        return bool(self._asks.get(visitor))


def begin(
    models: Models, ask: Ask, question: Question, asked: dict[int, Asked]
) -> None:
    """Answer in the owner's thread, with what is one model in one batch."""
    together: dict[Any, list[int]] = {}
    for pane, own in asked.items():
        # What has to load, or goes on, or read another chat, goes alone.
        alone = own.before or not models.shares_base(own.choice)
        key = pane if alone else (own.turns, "shared")
        together.setdefault(key, []).append(pane)
    for panes in together.values():
        parts = {pane: asked[pane] for pane in panes}
        models.owner.add(_answer(models, ask, question, parts))


def _answer(
    models: Models, ask: Ask, question: Question, asked: dict[int, Asked]
) -> Turns:
    """Answers of some panes, whatever goes wrong being theirs alone."""
    try:
        ready = {}
        for pane, own in asked.items():
            try:
                keys = models.needs(own.choice)
                for key in keys:
                    future = models.want(key)
                    while not future.done() and not ask.stopped:
                        message = models.part(key).message
                        ask.tell(pane, Answer(message=message))
                        yield future
                for key in () if ask.stopped else keys:
                    models.check(key)
                ready[pane] = own
            except Unavailable as error:
                ask.tell(pane, Answer(error.state, message=str(error)))
        if ready and not ask.stopped:
            yield from _write(models, ask, question, ready)
    except Exception as error:
        words = str(error) or type(error).__name__
        for pane in asked:
            ask.tell(pane, Answer("error", message=words))
    finally:
        for pane in asked:
            ask.close(pane)


def _write(
    models: Models, ask: Ask, question: Question, asked: dict[int, Asked]
) -> Turns:
    """A token of every pane a turn, then how far each drifts."""
    any_own = next(iter(asked.values()))
    before = any_own.before or Answer()
    prompt = models.prompt(question, any_own.turns)
    found = models.together(
        [own.choice for own in asked.values()],
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
            asked, found.labels, found.whole.answers, strict=True
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
        if question.drift and not ask.left:
            yield None
            drift = models.drift(
                asked[pane].choice, prompt, answer.token_ids, answer.logprobs
            )
            ask.tell(pane, dataclasses.replace(answer, drift=tuple(drift)))
        ask.close(pane)

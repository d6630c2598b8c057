"""Three answers at once: a token of each in turn, and no shared fate."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .models import PANES
from .models import Models
from .streamers import Unavailable

SAMPLERS = ("greedy", "top-k", "random")
MAX_PROMPT = 4000
MAX_LENGTH = 256
# Lowest and highest: for the page, for links to it and for what is asked.
LIMITS = {
    "temperature": (0.05, 2.0),
    "top_k": (1, 200),
    "length": (1, MAX_LENGTH),
    "seed": (0, 2**31 - 1),
    "dial": (0.0, 1.0),
}
_ENDINGS = {
    "end": "The model ended it.",
    "stop": "It ended with its line.",
    "length": "It was cut at the length that you chose.",
}
_PAUSE = 0.2  # Seconds between looks at what loads.


@dataclass(frozen=True)
class Question:
    """A prompt and how it is to be answered.

    Attributes:
        prompt: the text to continue.
        sampler: one of `SAMPLERS`.
        temperature: of the samplers that draw.
        top_k: how many candidates the sampler `"top-k"` draws from.
        length: the most tokens of an answer.
        seed: of the draws.
        one_line: whether an answer ends with its line.
        dial: the scale of the grown model's growth: 0 is the base.

    Raises:
        ValueError: if something is out of range, in words for the visitor.
    """

    prompt: str
    sampler: str = "greedy"
    temperature: float = 0.8
    top_k: int = 40
    length: int = 48
    seed: int = 0
    one_line: bool = True
    dial: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str) or not self.prompt.strip():
            raise ValueError("Write a prompt first.")
        if len(self.prompt) > MAX_PROMPT:
            raise ValueError(
                f"The prompt has {len(self.prompt):,} characters. At most "
                f"{MAX_PROMPT:,} are read; shorten it."
            )
        if self.sampler not in SAMPLERS:
            raise ValueError(f"Choose a sampler: {', '.join(SAMPLERS)}.")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not low <= value <= high:
                words = name.replace("_", "-")
                raise ValueError(
                    f"Choose a {words} from {low} to {high:,}. It is {value}."
                )

    def sampling(self) -> Any:
        """The question's `keras_grow.evaluation.sampling.Sampling`."""
        from keras_grow.evaluation.sampling import Sampling

        if self.sampler == "greedy":
            return Sampling()
        top_k = int(self.top_k) if self.sampler == "top-k" else None
        return Sampling(self.temperature, top_k, int(self.seed))


@dataclass(frozen=True)
class Answer:
    """What one pane shows.

    Attributes:
        state: "waiting", "writing", "done", "stopped", "empty" or "error".
        text: the answer so far.
        message: what the state needs said.
        tokens: how many were written.
        seconds: what they took, other panes' time not counted.
        drift: how much likelier than the base the model finds its answer, in
            nats per token, when known.
        cut: tokens that the prompt lost on its left.
        model: name of the model that wrote it.
    """

    state: str = "waiting"
    text: str = ""
    message: str = ""
    tokens: int = 0
    seconds: float = 0.0
    drift: float | None = None
    cut: int = 0
    model: str = ""


def answer(
    models: Models, question: Question, stopped: threading.Event
) -> Iterator[dict[str, Answer]]:
    """Answer in all panes, a token each in turn.

    Args:
        models: the models.
        question: what is asked.
        stopped: ends the answers where they are, once set.

    Yields:
        All panes, after every change of one.
    """
    answers = {pane: Answer() for pane in PANES}
    streams: dict[str, Any] = {}
    active = list(PANES)
    while active:
        for pane in list(active):
            if stopped.is_set():
                state = "stopped" if pane in streams else "empty"
                message = "" if pane in streams else "Stopped before it began."
                answers[pane] = dataclasses.replace(
                    answers[pane], state=state, message=message
                )
                active.remove(pane)
                continue
            before = answers[pane]
            answers[pane] = _advance(models, question, pane, streams, before)
            if answers[pane].state not in ("waiting", "writing"):
                active.remove(pane)
            if answers[pane] != before:
                yield dict(answers)
        if active and streams.keys().isdisjoint(active):
            yield dict(answers)
            time.sleep(_PAUSE)  # Everything that is left is still loading.
    yield dict(answers)
    for pane, stream in streams.items():
        if answers[pane].state not in ("done", "stopped"):
            continue
        answers[pane] = _scored(models, question, pane, answers[pane], stream)
        yield dict(answers)


def _advance(
    models: Models,
    question: Question,
    pane: str,
    streams: dict[str, Any],
    before: Answer,
) -> Answer:
    """One token more in one pane; whatever goes wrong is its own."""
    start = time.perf_counter()
    try:
        if pane not in streams:
            if not models.ready(pane):
                message = models.parts[pane].message
                return dataclasses.replace(before, message=message)
            label = models.parts[pane].message
            dialed = pane == "grown" and question.dial != 1.0
            label += f", dial at {question.dial:g}" if dialed else ""
            before = dataclasses.replace(before, model=label)
            streams[pane] = models.stream(
                pane,
                question.prompt,
                int(question.length),
                question.sampling(),
                ("\n",) if question.one_line else (),
                dial=question.dial,
            )
        stream = streams[pane]
        next(stream)
    except Unavailable as error:
        failed = models.parts[pane].state == "failed"
        return Answer("error" if failed else "empty", message=str(error))
    except Exception as error:  # The other panes go on.
        words = str(error) or type(error).__name__
        return dataclasses.replace(before, state="error", message=words)
    return dataclasses.replace(
        before,
        state="done" if stream.finished else "writing",
        message=_ENDINGS.get(stream.finished, ""),
        text=stream.text,
        tokens=len(stream.token_ids),
        seconds=before.seconds + time.perf_counter() - start,
        cut=stream.cut,
    )


def _scored(
    models: Models, question: Question, pane: str, found: Answer, stream: Any
) -> Answer:
    try:
        value = models.drift(
            pane, question.prompt, stream.token_ids, question.dial
        )
    except Exception as error:  # The answer stands without its drift.
        return dataclasses.replace(found, message=f"No drift: {error}")
    return dataclasses.replace(found, drift=value)

"""What happens on the first tab: asking, stopping, history and links."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

from . import words
from .answers import Answer
from .answers import Question
from .answers import answer
from .jobs import Jobs
from .models import PANES
from .models import Models
from .quick_gradio import gradio as gr

KEPT = 20  # Questions in a visitor's history.
History = list[dict[str, Any]]
_SETTINGS: dict[str, Callable[[str], Any]] = {
    "prompt": str,
    "sampler": str,
    "temperature": float,
    "top_k": int,
    "length": int,
    "seed": int,
    "one_line": lambda text: text == "1",
    "dial": float,
}


class CompareEvents:
    """Handlers that ask the models.

    Args:
        models: what answers.
        jobs: the queue of prompts.
    """

    def __init__(self, models: Models, jobs: Jobs) -> None:
        self.models = models
        self.jobs = jobs

    def clear(self, request: gr.Request) -> list[Any]:
        """Make room for the next answers, unless some are being written."""
        if self.jobs.before(str(request.session_hash)) is not None:
            return [gr.skip()] * (2 * len(PANES))
        return shown(dict.fromkeys(PANES, Answer()))

    def enter(self, request: gr.Request, *inputs: Any) -> list[None]:
        """Take a place in the queue, just before Gradio takes the same one.

        What Gradio turns away, such as a setting that it refuses, a prompt
        that the queue has no room for or a second click, has no place here.
        """
        self.jobs.begin(str(request.session_hash))
        return [None] * len(inputs)

    def refused(self) -> list[Any]:
        """Say that a prompt was not let into the queue."""
        answer = Answer(
            "error",
            message="The prompt was not taken: a setting is out of its range, "
            "or too many prompts wait. Look at the settings and ask again.",
        )
        return shown(dict.fromkeys(PANES, answer))

    def stop(self, request: gr.Request) -> None:
        """End the visitor's own prompt."""
        self.jobs.stop(str(request.session_hash))

    def run(
        self,
        tuned: str | None,
        grown: str | None,
        history: History | None,
        prompt: str,
        sampler: str,
        temperature: float,
        top_k: float,
        length: float,
        seed: float,
        one_line: bool,
        dial: float,
        request: gr.Request,
    ) -> Iterator[list[Any]]:
        """Answer when it is this prompt's turn, and remember it."""
        visitor = str(request.session_hash)
        stopped = self.jobs.take(visitor)
        values = [prompt, sampler, temperature, top_k, length, seed]
        values += [one_line, dial]
        answers = {pane: Answer() for pane in PANES}
        try:
            question = Question(*values)  # type: ignore[arg-type]
            if not stopped.is_set():
                self.models.choose("tuned", tuned)
                self.models.choose("grown", grown)
            for answers in answer(self.models, question, stopped):
                yield [*shown(answers), gr.skip()]
        except ValueError as error:
            refused = Answer("error", message=str(error))
            yield [*shown(dict.fromkeys(PANES, refused)), gr.skip()]
            return
        finally:
            self.jobs.end(visitor)
        yield [*shown(answers), remembered(values, answers, history)]


def shown(answers: dict[str, Answer]) -> list[Any]:
    """Text and note of every pane, as the page takes them."""
    values = []
    for pane in PANES:
        text = answers[pane].text.lstrip("\n")
        values += [text, words.pane_note(answers[pane])]
    return values


def remembered(
    settings: list[Any], answers: dict[str, Answer], history: History | None
) -> History:
    """The history with one question more, newest first."""
    kept = {
        "settings": settings,
        "answers": {
            pane: dataclasses.asdict(found) for pane, found in answers.items()
        },
    }
    past = history if isinstance(history, list) else []
    return [kept, *past][:KEPT]


def show_history(history: History | None) -> list[Any]:
    """Earlier prompts as a list to choose from, and a line where none are."""
    labels = [
        str(item["settings"][0]).replace("\n", " ")[:80]
        for item in history or []
    ]
    samples = gr.Dataset(
        samples=[[label] for label in labels],
        sample_labels=labels,
        visible=bool(labels),
    )
    return [samples, no_history(labels)]


def no_history(history: list[Any]) -> str:
    """What stands where earlier prompts will be."""
    if history:
        return ""
    return words.note("info", "Your prompts will be kept in this browser.")


def from_history(index: int, history: History) -> list[Any]:
    """Settings and answers of an earlier question."""
    item = history[index]
    answers = {pane: Answer(**item["answers"][pane]) for pane in PANES}
    return [*item["settings"], *shown(answers)]


def follow_link(request: gr.Request) -> list[Any]:
    """Settings as the page's address gives them, and no other."""
    query = dict(request.query_params)
    given: dict[str, Any] = {}
    for name, kind in _SETTINGS.items():
        if name not in query:
            continue
        try:
            changed = {**given, name: kind(query[name])}
            Question(**{"prompt": "-", **changed})
        except ValueError:
            continue  # An address can be cut or mistyped.
        given = changed
    # What a visitor has begun to type is not taken from them.
    return [given.get(name, gr.skip()) for name in _SETTINGS]

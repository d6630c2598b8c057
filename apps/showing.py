"""What a pane shows of an answer, in the order of the page's components."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from . import pane as html
from .answers import Answer
from .answers import Question
from .history import PANES
from .history import Kept
from .history import restored
from .quick_gradio import gradio as gr


def of_pane(
    title: str,
    found: Answer,
    question: Question | None = None,
    turns: Sequence[Sequence[str]] = (),
    plain: bool = False,
    kept: Any = None,
) -> list[Any]:
    """Answer and note of a pane, and what it keeps."""
    said = [(one, other) for one, other in turns]
    chat = question is not None and question.chat
    if question and chat:
        said.append((question.prompt, ""))
    return [
        html.answer(title, found, said, chat and not plain),
        html.note(found),
        kept or gr.skip(),
    ]


def of_kept(kept: Kept, plain: bool) -> list[Any]:
    """A pane as it was when it was kept."""
    found, question = restored(kept["answer"]), Question(**kept["question"])
    return of_pane(found.model, found, question, kept["turns"], plain, kept)


def shown(panes: Mapping[int, list[Any]], latest: Any = None) -> list[Any]:
    """All answers, notes and what is kept, then what has ended."""
    each = [panes.get(index, [gr.skip()] * 3) for index in range(PANES)]
    columns = zip(*each, strict=True)
    return [*(own for column in columns for own in column), latest or gr.skip()]

"""What a visitor asked before: the history in the browser, and links."""

from collections.abc import Callable
from typing import Any

from . import pane
from . import words
from .answers import Answer
from .answers import Question
from .quick_gradio import gradio as gr

PANES = 4  # As many can be open at once.
KEPT = 20  # Questions in a visitor's history.
# What a pane was asked last, and its answer, as the page keeps it.
Kept = dict[str, Any]
History = list[dict[str, Kept]]
_SETTINGS: dict[str, Callable[[str], Any]] = {
    "prompt": str,
    "sampler": str,
    "temperature": float,
    "top_k": int,
    "length": int,
    "seed": int,
    "one_line": lambda text: text == "1",
    "drift": lambda text: text == "1",
    "chat": lambda text: text == "1",
    "system": str,
}


def restored(found: dict[str, Any]) -> Answer:
    """An answer as it was before the page kept it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
    }
    return Answer(**values)


def turns_of(kept: Kept | None, through: bool) -> tuple[tuple[str, str], ...]:
    """What was said in a pane's chat: before its last turn, or through it."""
    if not kept or not kept["question"]["chat"]:
        return ()
    turns = [(said, answered) for said, answered in kept["turns"]]
    if through:
        last = kept["question"]["prompt"], kept["answer"]["text"].strip()
        turns.append(last)
    return tuple(turns)


def remembered(kept: dict[int, Kept], history: History | None) -> History:
    """The history with one question more, newest first."""
    past = history if isinstance(history, list) else []
    item = {str(index): own for index, own in kept.items()}
    return [item, *past][:KEPT]


def show_history(history: History | None) -> list[Any]:
    """Earlier prompts as a list to choose from, and a line where none are."""
    labels = [
        str(_question(item)["prompt"]).replace("\n", " ")[:80]
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
    """Settings, answers and notes of an earlier question."""
    item = history[index]
    texts: list[Any] = [gr.skip()] * PANES
    notes: list[Any] = [gr.skip()] * PANES
    kept: list[Any] = [gr.skip()] * PANES
    for name, own in item.items():
        found, at = restored(own["answer"]), int(name)
        texts[at] = pane.answer(found.model, found, turns_of(own, False))
        notes[at], kept[at] = pane.note(found), own
    question = _question(item)
    settings = [question[name] for name in _SETTINGS]
    return [*settings, *texts, *notes, *kept]


def _question(item: dict[str, Kept]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(item.values()))["question"]
    return found


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

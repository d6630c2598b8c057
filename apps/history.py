"""What a visitor asked before: the history in the browser, and links."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from . import words
from .answers import Answer
from .answers import Question
from .quick_gradio import gradio as gr

PANES = 4  # As many can be open at once.
KEPT = 20  # Questions in a visitor's history.
# What a pane was asked last, and its answer, as the page keeps it.
Kept = dict[str, Any]
# The panes of each question by their numbers, the newest question first.
History = list[dict[str, Kept]]
# The settings in their order, and the type of each.
SETTINGS = {each.name: each.type for each in fields(Question)}


def restored(found: dict[str, Any]) -> Answer:
    """An answer as it was before the page kept it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
    }
    return Answer(**values)


def turns_of(kept: Kept | None) -> tuple[tuple[str, str], ...]:
    """What was said in a pane's chat until now."""
    if not kept or not kept["question"]["chat"]:
        return ()
    turns = [(said, answered) for said, answered in kept["turns"]]
    answer = kept["answer"]
    if answer["state"] in ("done", "stopped"):
        turns.append((kept["question"]["prompt"], answer["text"].strip()))
    return tuple(turns)


def remembered(latest: dict[str, Any], history: History | None) -> History:
    """The history with the answers that have just ended.

    `latest` has them by pane in `panes`. If they are `new`, they are a question
    of their own; else each takes the place of the answer that was asked for
    again, or has gone on. What panes were asked at the same time is one
    question, even if they do not end together.
    """
    past, panes, new = history or [], latest["panes"], latest["new"]
    question = question_of(panes)
    for at, item in enumerate(past[:1] if new else past):
        apart = not new or item.keys().isdisjoint(panes)
        if question_of(item) == question and apart:
            return [*past[:at], {**item, **panes}, *past[at + 1 :]]
    return [panes, *past][:KEPT]


def show_history(history: History | None) -> list[Any]:
    """Earlier prompts as a list to choose from, and a line where none are."""
    labels = [
        str(question_of(item)["prompt"]).replace("\n", " ")[:80]
        for item in history or []
    ]
    samples = gr.Dataset(
        samples=[[label] for label in labels],
        sample_labels=labels,
        visible=bool(labels),
    )
    return [samples, "" if labels else NO_HISTORY]


NO_HISTORY = words.note("info", "Your prompts will be kept in this browser.")


def question_of(item: Mapping[str, Kept]) -> dict[str, Any]:
    """What the panes of an item were asked."""
    found: dict[str, Any] = next(iter(item.values()))["question"]
    return found

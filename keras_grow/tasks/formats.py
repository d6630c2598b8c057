"""The formats of rows, and how each becomes an example."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from keras_grow.tasks import prompts
from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.chats import alpaca_messages
from keras_grow.tasks.chats import chat_example
from keras_grow.tasks.chats import messages_of
from keras_grow.tasks.example import Example
from keras_grow.tasks.rows import Row


@dataclasses.dataclass(frozen=True)
class RowFormat:
    """The fields a row needs, and how they become an example."""

    fields: tuple[str, ...]
    make: Callable[[Row], Example]
    metric: str
    optional: tuple[str, ...] = ()


def _text(row: Row, field: str) -> str:
    """The text in `field` of `row`."""
    value = row[field]
    if not isinstance(value, str):
        raise ValueError(
            f"Expected `{field}` to be text. Received: {field}={value!r}"
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"Expected `{field}` to be valid Unicode (UTF-8)")
    return value


def _choices(value: Any) -> list[str]:
    """A list of texts; a CSV cell holds it as JSON or with `|` between."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = [part.strip() for part in value.split("|")]
    if (
        not isinstance(value, list)
        or len(value) < 2
        or not all(isinstance(choice, str) for choice in value)
    ):
        raise ValueError(
            "Expected `choices` to be a list of two or more texts. "
            f"Received: choices={value!r}"
        )
    return value


def answer_index(answer: Any, choices: list[str]) -> int:
    """Index of the one choice that `answer` names.

    It is an index (int), a choice's text, or, where that is no choice's text, a
    capital letter or an index in digits.
    """
    found: set[int] = set()
    if isinstance(answer, int) and not isinstance(answer, bool):
        found = {answer}
    elif isinstance(answer, str):
        text = answer.strip()
        found = {i for i, c in enumerate(choices) if c.strip() == text}
        if text.isdecimal() and int(text) < len(choices):
            found.add(int(text))
        if not found and len(text) == 1 and "A" <= text <= "Z":
            found = {ord(text) - ord("A")}
    found = {index for index in found if 0 <= index < len(choices)}
    if len(found) != 1:
        problem = "more than one choice" if found else "no choice"
        raise ValueError(
            "Expected `answer` to name one choice, by index, text or letter; "
            f"it names {problem}. Received: answer={answer!r}, "
            f"choices={choices!r}"
        )
    return found.pop()


def _prompt_response(row: Row) -> Example:
    return Example(_text(row, "prompt"), _text(row, "response"))


def _plain_text(row: Row) -> Example:
    return Example("", _text(row, "text"))


def _multiple_choice(row: Row) -> Example:
    choices = _choices(row["choices"])
    for choice in choices:
        _text({"choices": choice}, "choices")
    gold = answer_index(row["answer"], choices)
    return prompts.multiple_choice(_text(row, "question"), choices, gold)


def _entailment(row: Row) -> Example:
    labels = {"entails": 0, "entailment": 0, "neutral": 1, "not_entailment": 1}
    label = _text(row, "label").strip().lower()
    if label not in labels:
        raise ValueError(
            f"Expected `label` to be one of {sorted(labels)}. "
            f"Received: label={row['label']!r}"
        )
    return prompts.entailment(
        _text(row, "premise"), _text(row, "hypothesis"), labels[label]
    )


def _translation(row: Row) -> Example:
    return prompts.translation(_text(row, "en"), _text(row, "fr"))


def _winogrande(row: Row) -> Example:
    answer = str(row["answer"])
    if answer not in ("1", "2"):
        raise ValueError(
            'Expected `answer` to be "1" or "2". '
            f"Received: answer={row['answer']!r}"
        )
    return prompts.winogrande(
        _text(row, "sentence"),
        _text(row, "option1"),
        _text(row, "option2"),
        int(answer) - 1,
    )


FORMATS = {
    "prompt_response": RowFormat(
        ("prompt", "response"), _prompt_response, "exact_match"
    ),
    "multiple_choice": RowFormat(
        ("question", "choices", "answer"), _multiple_choice, "exact_match"
    ),
    "entailment": RowFormat(
        ("premise", "hypothesis", "label"), _entailment, "exact_match"
    ),
    "translation": RowFormat(("en", "fr"), _translation, "sacrebleu"),
    "winogrande": RowFormat(
        ("sentence", "option1", "option2", "answer"),
        _winogrande,
        "multiple_choice",
    ),
    "text": RowFormat(("text",), _plain_text, "exact_match"),
}

# The forms of chats, which need a template.
CHATS = {
    "messages": ("messages",),
    "conversations": ("conversations",),
    "alpaca": ("instruction", "output"),
}


def chat_formats(template: str | ChatTemplate) -> dict[str, RowFormat]:
    """The formats, by name, of chats, and of pairs as chats of two turns."""
    template = ChatTemplate.of(template)

    def messages(row: Row) -> Example:
        return chat_example(messages_of(row), template)

    def alpaca(row: Row) -> Example:
        return chat_example(alpaca_messages(row), template)

    def pair(row: Row) -> Example:
        turns = [
            {"role": "user", "content": _text(row, "prompt")},
            {"role": "assistant", "content": _text(row, "response")},
        ]
        return chat_example(turns, template)

    metric = "exact_match"
    return {
        "messages": RowFormat(CHATS["messages"], messages, metric, ("system",)),
        "conversations": RowFormat(
            CHATS["conversations"], messages, metric, ("system",)
        ),
        "alpaca": RowFormat(
            CHATS["alpaca"], alpaca, metric, ("input", "system")
        ),
        "prompt_response": RowFormat(("prompt", "response"), pair, metric),
    }

"""Rows that are chats: messages, ShareGPT's conversations, Alpaca."""

import json
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.chat_template import Message
from keras_grow.tasks.example import Example

ROLES = ("system", "user", "assistant")
# Names that ShareGPT and similar formats use for them.
_OTHER_NAMES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
}


def chat_example(
    messages: Sequence[Message], template: str | ChatTemplate
) -> Example:
    r"""Make an example of a chat, in which the answers alone train.

    Args:
        messages: the turns, each with `role` and `content`; an assistant's
            comes last.
        template: see `ChatTemplate.of`.

    Returns:
        An example with `turns`, whose `prompt` is the text before the last
        answer and whose `response` is that answer.

    Raises:
        ValueError: if there are no messages, a role is unknown, the last turn
            is not an assistant's, or the template refuses the chat.

    Example:
    ```python
    from keras_grow.tasks import chat_example

    chat_example(
        [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Good day."},
        ],
        "gemma",
    ).prompt  # "<start_of_turn>user\\nHello<end_of_turn>\\n<start_of_turn>..."
    ```
    """
    checked = [_message(index, m) for index, m in enumerate(messages)]
    if not checked:
        raise ValueError("Expected a chat with turns in it. Received: none")
    if checked[-1]["role"] != "assistant":
        raise ValueError(
            "Expected a chat whose last turn is an assistant's, to learn. "
            f"Received: a last turn of role {checked[-1]['role']!r}"
        )
    turns = ChatTemplate.of(template).turns(checked)
    *earlier, last = turns
    before = "".join("".join(turn) for turn in earlier) + last.before
    return Example(before, last.answer, turns=turns)


def messages_of(row: Mapping[str, Any]) -> list[Message]:
    """The turns of a row with `messages` or `conversations`.

    They are a list, or its JSON, as in a CSV; the text of a system turn may be
    in `system`. Roles are not checked yet.
    """
    field = "messages" if "messages" in row else "conversations"
    value = row[field]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"Expected `{field}` to be a list of turns, or one in JSON "
                f"({error})"
            ) from error
    if not isinstance(value, list):
        raise ValueError(
            f"Expected `{field}` to be a list of turns. "
            f"Received: {type(value).__name__}"
        )
    system = row.get("system")
    if system:
        value = [{"role": "system", "content": system}, *value]
    return value


def alpaca_messages(row: Mapping[str, Any]) -> list[Message]:
    """The turns of the user and the assistant in a row of Alpaca's form.

    The row has `instruction`, `output` and, optionally, `input`, which comes
    below the instruction.
    """
    asked = [row["instruction"], row.get("input") or ""]
    for name, value in zip(("instruction", "input"), asked, strict=True):
        if not isinstance(value, str):
            raise ValueError(
                f"Expected `{name}` to be text. Received: {name}={value!r}"
            )
    turns: list[Message] = [
        {"role": "user", "content": "\n\n".join(filter(None, asked))},
        {"role": "assistant", "content": row["output"]},
    ]
    if row.get("system"):
        turns.insert(0, {"role": "system", "content": row["system"]})
    return turns


def _message(index: int, turn: Any) -> dict[str, str]:
    """A turn with a known role and a text."""
    place = f"turn {index + 1}"
    if not isinstance(turn, Mapping):
        raise ValueError(
            f"Expected {place} to be an object with `role` and `content`. "
            f"Received: {turn!r}"
        )
    role = turn.get("role", turn.get("from"))
    role = _OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise ValueError(
            f"Expected the role of {place} to be one of {ROLES}. "
            f"Received: role={role!r}"
        )
    if role == "system" and index:
        raise ValueError(
            f"Expected a system turn to come first. Received: {place} of {role}"
        )
    content = _text(turn.get("content", turn.get("value")), place)
    return {"role": role, "content": content}


def _text(content: Any, place: str) -> str:
    """The text of a turn, which may be in parts."""
    if isinstance(content, list) and all(
        isinstance(part, Mapping) and part.get("type") == "text"
        for part in content
    ):
        content = "".join(str(part.get("text")) for part in content)
    if not isinstance(content, str):
        raise ValueError(
            f"Expected {place} to be text. Received: content={content!r}"
        )
    if any("\ud800" <= character <= "\udfff" for character in content):
        raise ValueError(f"Expected {place} to be valid Unicode (UTF-8)")
    return content

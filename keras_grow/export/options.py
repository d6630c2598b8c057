"""The options that all exports share, checked before anything is written."""

from typing import Any

from keras_grow.export.configs import max_positions as family_positions
from keras_grow.files.checked_json import check_int
from keras_grow.tasks.chat_template import ChatTemplate


def longest_text(backbone: Any, max_positions: int | None) -> int:
    """The longest text to promise, in tokens."""
    if max_positions is None:
        return family_positions(backbone)
    return check_int(max_positions, "max_positions", 1)


def chat_of(template: str | ChatTemplate | None) -> ChatTemplate | None:
    """The chat template to write, or None."""
    return None if template is None else ChatTemplate.of(template)

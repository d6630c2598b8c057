"""JSON read one row at a time, each with the line that it begins on."""

import json
import re
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")


def read_json_lines(
    lines: Iterable[bytes], name: str
) -> Iterator[tuple[str, Any]]:
    """Rows, with their places, of a file with one JSON object per line.

    `lines` are split at line feeds only: `str.splitlines` would also break a
    row at characters such as U+2028, which JSON allows within a string. Blank
    lines are left out; the reason, a string, stands in place of a malformed
    row.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            yield place, as_row(_parse(line.decode("utf-8-sig")))
        except UnicodeDecodeError as error:
            yield place, f"Expected UTF-8 ({error})"
        except ValueError as error:
            yield place, f"Expected one JSON object per line ({error})"


def read_json_array(data: bytes, name: str) -> Iterator[tuple[str, Any]]:
    """Rows, with their places, of a file that is one JSON array of objects.

    The reason, a string, stands in place of a malformed row. Nothing can be
    read after a syntax error.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield f"{name}, line {line}", f"Expected UTF-8 ({error})"
        return
    position = _SPACE.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    line, counted = 1, 0
    expected = "]" if text[position : position + 1] == "]" else ""
    while not expected:
        line += text.count("\n", counted, position)
        counted = position
        place = f"{name}, line {line}"
        try:
            row, position = _decode(text, position)
        except ValueError as error:
            yield place, f"Expected a JSON array of objects ({error})"
            return
        yield place, as_row(row)
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
        if text[position : position + 1] != ",":
            expected = "]"
            break
        position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
    if text[position:].strip() != expected:
        line += text.count("\n", counted, position)
        found = text[position : position + 20]
        yield (
            f"{name}, line {line}",
            f"Expected a JSON array that ends in `]`. Received: {found!r}",
        )


def as_row(value: Any) -> Any:
    """A JSON object, or the reason why `value` is not one."""
    if isinstance(value, dict):
        return value
    return f"Expected a JSON object. Received: {_shown(value)}"


def _parse(text: str) -> Any:
    start = _SPACE.match(text).end()  # type: ignore[union-attr]
    value, end = _decode(text, start)
    if text[end:].strip(" \t\r\n"):
        raise ValueError(f"more than one value: {_shown(text[end:])}")
    return value


def _decode(text: str, position: int) -> tuple[Any, int]:
    """A value and where it ends; whatever goes wrong is a `ValueError`."""
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        # Python's message names no line, and the traceback has thousands.
        raise ValueError("nested too deeply") from None
    except ValueError:
        # Python does not parse numbers of more than a few thousand digits.
        raise ValueError("a number with too many digits") from None


_DECODER = json.JSONDecoder()


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:77]}..."

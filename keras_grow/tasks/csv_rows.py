"""CSV as people have it: with any separator, in several encodings."""

import csv
import io
import re
import sys
import warnings
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NON_ASCII = re.compile(rb"[\x80-\xff]")


def read_csv(
    data: bytes,
    name: str,
    known: Collection[str],
    separator: str | None = None,
) -> Iterator[tuple[str, Any]]:
    """Rows, with their places, of a CSV file with a header.

    The separator is the one of comma, semicolon, tab and bar that gives the
    header the most known names (in lowercase), then the most names. The text is
    in UTF-8, UTF-16 or Windows-1252; a warning reports the last of these, and a
    separator other than a comma. The reason, a string, stands in place of a
    malformed row.
    """
    text = _decoded(data, name)
    previous = csv.field_size_limit(sys.maxsize)
    try:
        if separator is None:
            separator = _separator(text, known)
            if separator != ",":
                warnings.warn(
                    f"{name} is read with {_SEPARATORS[separator]} between "
                    "its fields.",
                    stacklevel=2,
                )
        _check_header(_header(text, separator), name)
        # The key None holds fields beyond those of the header.
        reader = csv.DictReader(
            io.StringIO(text, newline=""), strict=True, delimiter=separator
        )
        while True:
            try:
                row: dict[Any, Any] = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                place = f"{name}, line {reader.line_num + 1}"
                yield place, f"Expected a record of a CSV ({error})"
                continue
            place = f"{name}, line {reader.line_num}"
            if None in row or None in row.values():
                expected = len(reader.fieldnames or ())
                yield place, f"Expected {expected} fields as in the header"
            else:
                yield place, row
    finally:
        csv.field_size_limit(previous)


def _header(text: str, separator: str) -> list[str]:
    """The fields of the first line; none if it cannot be read."""
    lines = io.StringIO(text, newline="")
    try:
        return next(csv.reader(lines, delimiter=separator), [])
    except csv.Error:
        return []


def _check_header(columns: Sequence[str], name: str) -> None:
    """Refuse two columns of one name, of which only the last would be read."""
    columns = [column for column in columns if column.strip()]
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise ValueError(
            f"Expected columns of different names in {name}. "
            f"Received: {sorted(twice)} more than once. Rename one."
        )


def _decoded(data: bytes, name: str) -> str:
    """The file's text; bytes that are not UTF-8 become lone surrogates.

    The check of each text field then reports them with their line.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "surrogatepass")
    # Without a mark, every other byte of a header's first letters is zero.
    for encoding, zero in (("utf-16-le", 1), ("utf-16-be", 0)):
        zeros, letters = data[zero:8:2], data[1 - zero : 8 : 2]
        if len(data) % 2 == 0 and zeros and not any(zeros) and all(letters):
            return data.decode(encoding, "surrogatepass")
    text = data.decode("utf-8-sig", "surrogateescape")
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    # A file that is partly valid UTF-8 is damaged, not Windows-1252.
    escaped = sum("\udc80" <= character <= "\udcff" for character in text)
    if escaped == len(_NON_ASCII.findall(data)):
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            return text
        warnings.warn(
            f"{name} is not in UTF-8; it is read as Windows-1252. If letters "
            "with accents come out wrong, save it in UTF-8.",
            stacklevel=3,
        )
    return text


def _separator(text: str, known: Collection[str]) -> str:
    """The separator between the fields of the header."""

    def fit(separator: str) -> tuple[int, int]:
        found = _header(text, separator)
        named = {column.strip().casefold() for column in found} & set(known)
        return len(named), len(found)

    # A tie goes to the comma.
    return max(_SEPARATORS, key=fit)

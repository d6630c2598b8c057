"""JSON from elsewhere: bounded, and checked value by value.

A file may be damaged or crafted. Reading it returns the expected values or
raises a `ValueError` that names the field. Memory use is bounded by the size of
the file, which is bounded, too.
"""

import contextlib
import json
import math
import os
import reprlib
from collections.abc import Collection
from collections.abc import Iterator
from numbers import Integral
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 20
_SHORT = reprlib.Repr()
_SHORT.maxstring = 100


def parse_json(text: str, what: str, max_bytes: int = MAX_BYTES) -> Any:
    """Parse JSON, whatever it is.

    Text that is not JSON or is too long is a `ValueError`, and so are integers
    of thousands of digits and thousands of nested lists. `what` says in words
    what it should be: `"a growth config"`.
    """
    if len(text) > max_bytes:
        raise ValueError(
            f"Expected {what} of at most {max_bytes} bytes. Received: "
            f"{len(text)} characters."
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"Expected {what} as JSON. Received: {show(text)}, which is no "
            f"JSON that can be read ({error})."
        ) from error


def read_json(
    path: str | os.PathLike[str], what: str, max_bytes: int = MAX_BYTES
) -> Any:
    """Read a JSON file, whatever it holds, as `parse_json` does."""
    with in_file(path):
        with Path(path).open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise ValueError(
                f"Expected {what} of at most {max_bytes} bytes. Received: more."
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"Expected {what} as JSON in UTF-8. Received: {error}."
            ) from error
        return parse_json(text, what, max_bytes)


@contextlib.contextmanager
def in_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in the message of each `ValueError` of the block."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{error} In the file {os.fspath(path)!r}.") from error


def check_fields(
    values: Any,
    what: str,
    required: Collection[str],
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Refuse anything but a JSON object of exactly these fields."""
    if not isinstance(values, dict):
        raise ValueError(
            f"Expected {what} to be an object with the fields "
            f"{sorted(required)}. Received: {show(values)}"
        )
    known = {*required, *optional}
    unknown = sorted(map(show, set(values) - known))
    missing = sorted(set(required) - set(values))
    if unknown or missing:
        raise ValueError(
            f"Expected {what} with the fields {sorted(known)}. Received: "
            f"unknown fields {show(unknown)}, missing fields {missing}"
        )
    return values


def check_list(
    values: Any, name: str, most: int | None = None, least: int = 0
) -> list[Any]:
    """Refuse anything but a list of a certain length."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(
            f"Expected `{name}` to be a list. Received: {name}={show(values)}"
        )
    if len(values) < least or (most is not None and len(values) > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(
            f"Expected `{name}` to have {bounds} entries. Received: "
            f"{len(values)} entries."
        )
    return list(values)


def check_int(
    value: Any, name: str, least: int | None = None, most: int | None = None
) -> int:
    """Refuse anything but an integer (NumPy's included) in range."""
    inside = (
        is_int(value)
        and (least is None or value >= least)
        and (most is None or value <= most)
    )
    if not inside:
        bounds = "" if least is None else f" of {least} or more"
        if most is not None:
            bounds = f" from {least} to {most}"
        raise ValueError(
            f"Expected `{name}` to be an int{bounds}. "
            f"Received: {name}={show(value)}"
        )
    return int(value)


def check_float(value: Any, name: str, least: float | None = None) -> float:
    """Refuse anything but a finite number that is large enough."""
    number = isinstance(value, float) or is_int(value)
    # An int may be too large for a float.
    finite = number and abs(value) < 1e308 and math.isfinite(value)
    if not finite or (least is not None and value < least):
        bounds = "" if least is None else f" of {least:g} or more"
        raise ValueError(
            f"Expected `{name}` to be a finite number{bounds}. "
            f"Received: {name}={show(value)}"
        )
    return float(value)


def check_text(value: Any, name: str, most: int = 4096) -> str:
    """Refuse anything but a string that is not too long."""
    if not isinstance(value, str) or len(value) > most:
        raise ValueError(
            f"Expected `{name}` to be a string of at most {most} characters. "
            f"Received: {name}={show(value)}"
        )
    return value


def check_flag(value: Any, name: str) -> bool:
    """Refuse anything but true and false."""
    if not isinstance(value, bool):
        raise ValueError(
            f"Expected `{name}` to be true or false. "
            f"Received: {name}={show(value)}"
        )
    return value


def check_choice(value: Any, name: str, choices: Collection[str]) -> str:
    """Refuse anything but one of these strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"Expected `{name}` to be one of {list(choices)}. "
            f"Received: {name}={show(value)}"
        )
    return value


def is_int(value: Any) -> bool:
    """Whether `value` is an integer (NumPy's included), not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def show(value: Any) -> str:
    """Any value as one short line for a message."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "an int of thousands of digits"

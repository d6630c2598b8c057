"""Rows of a file or data set turned into examples, malformed ones named."""

import dataclasses
import warnings
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from keras_grow.tasks.example import Example

Row = Mapping[str, Any]


class MalformedRowError(ValueError):
    """A row that does not match its format, named by file and line."""


class Loaded(NamedTuple):
    """Examples, and for each row that was left out a line: where and why."""

    examples: tuple[Example, ...]
    skipped: tuple[str, ...]


def collect(
    rows: Iterable[tuple[str, Row | str]],
    make: Callable[[Row], Example],
    on_error: str,
    name: str,
) -> Loaded:
    """Make an example of each row, raising or counting the malformed ones.

    `rows` are pairs of a place ("data.jsonl, line 3") and the row there, or the
    reason, a string, why it could not be read as a row. A `ValueError` of
    `make` says what is malformed. With `on_error="skip"` one warning counts
    such rows.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(
            'Expected `on_error` to be "raise" or "skip". '
            f"Received: on_error={on_error!r}"
        )
    examples = []
    skipped = []
    for place, row in rows:
        try:
            if isinstance(row, str):
                raise ValueError(row)
            example = make(row)
        except ValueError as error:
            if on_error == "raise":
                raise MalformedRowError(
                    f"{place}: {error}. Fix the row, or leave such rows out "
                    'with on_error="skip".'
                ) from error
            skipped.append(f"{place}: {error}")
            continue
        examples.append(dataclasses.replace(example, source=place))
    if skipped:
        total = len(skipped) + len(examples)
        warnings.warn(
            f"{len(skipped)} of {total} rows of {name} are malformed and were "
            f"left out. The first: {skipped[0]}",
            stacklevel=3,
        )
    return Loaded(tuple(examples), tuple(skipped))

"""A user's own rows: JSONL and CSV files as examples and tasks."""

import csv
import json
import os
import sys
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_grow.tasks import rows
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task
from keras_grow.tasks.rows import FORMATS
from keras_grow.tasks.rows import Loaded
from keras_grow.tasks.rows import RowFormat

# Columns that are taken for a format's field when the field itself is absent.
_ALIASES = {"answer": ("gold",)}


def read_examples(
    path: str | os.PathLike[str],
    format: str = "auto",
    fields: Mapping[str, str] | None = None,
    on_error: str = "raise",
) -> Loaded:
    """Read a JSONL or CSV file as examples.

    Formats and their fields:

    - `"prompt_response"`: `prompt`, `response`, both used as they stand;
    - `"multiple_choice"`: `question`, `choices` (a list; in CSV a JSON list
      or texts with `|` between), `answer` or `gold` (index, text or letter);
    - `"entailment"`: `premise`, `hypothesis`, `label`;
    - `"translation"`: `en`, `fr`;
    - `"winogrande"`: `sentence`, `option1`, `option2`, `answer`.

    Args:
        path: file in UTF-8 that ends in `.jsonl` or `.csv` (with a header).
        format: a format's name. Defaults to `"auto"`: the format whose fields
            the first row has.
        fields: the file's name for a field, where it differs, such as
            `{"prompt": "input", "response": "output"}`. Defaults to `None`.
        on_error: `"raise"` (the default) at a malformed row, or `"skip"` to
            leave such rows out, counted in a warning and in the result.

    Returns:
        `Loaded(examples, skipped)`.

    Raises:
        MalformedRowError: with file and line, at a malformed row.
        ValueError: if the file's kind, the format or the fields are unknown.
        OSError: if the file cannot be read.

    Example:
    ```python
    import pathlib
    from keras_grow.tasks import read_examples

    row = '{"prompt": "1 + 1 =", "response": " 2"}'
    pathlib.Path("a.jsonl").write_text(row)
    examples, skipped = read_examples("a.jsonl")
    ```
    """
    path = Path(path)
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(
            "Expected `path` to end in .jsonl or .csv. "
            f"Received: path={str(path)!r}"
        )
    if format != "auto" and format not in FORMATS:
        raise ValueError(
            f"Expected `format` to be one of {['auto', *FORMATS]}. "
            f"Received: format={format!r}"
        )
    numbered = list(readers[path.suffix.lower()](path))
    if not any(isinstance(row, dict) for _, row in numbered):
        if not numbered:
            return Loaded((), ())
        return rows.collect(numbered, _unread, on_error, path.name)
    names = dict(fields or {})
    columns = next(set(row) for _, row in numbered if isinstance(row, dict))
    chosen = _choose_format(format, names, columns, path)
    for field in chosen.fields:
        if field not in names and field not in columns:
            names[field] = next(
                (a for a in _ALIASES.get(field, ()) if a in columns), field
            )

    def make(row: rows.Row) -> Example:
        return chosen.make(_renamed(row, chosen.fields, names))

    return rows.collect(numbered, make, on_error, path.name)


def file_task(
    name: str,
    train: str | os.PathLike[str] | None = None,
    validation: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    format: str = "auto",
    fields: Mapping[str, str] | None = None,
    metric: str | None = None,
    on_error: str = "raise",
) -> Task:
    r"""A task from a user's own files, one a split.

    Args:
        name: the task's name.
        train: file of the training split, or `None`.
        validation: file of the validation split, or `None`.
        test: file of the test split, or `None`.
        format: see `read_examples`.
        fields: see `read_examples`.
        metric: the task's metric. Defaults to `None`: SacreBLEU for
            translation, multiple choice for WinoGrande, otherwise exact match.
        on_error: see `read_examples`.

    Returns:
        The task.

    Raises:
        ValueError: if no file is given, and as `read_examples` does.

    Example:
    ```python
    import pathlib
    from keras_grow.tasks import file_task

    pathlib.Path("a.csv").write_text("en,fr\nGood night.,Bonne nuit.\n")
    file_task("mine", train="a.csv").metric  # "sacrebleu"
    ```
    """
    paths = {"train": train, "validation": validation, "test": test}
    splits: dict[str, Any] = {}
    skipped: list[str] = []
    given = [(split, path) for split, path in paths.items() if path is not None]
    if not given:
        raise ValueError(
            "Expected a file for one split at least. "
            "Received: train=None, validation=None, test=None"
        )
    for split, path in given:
        loaded = read_examples(path, format, fields, on_error)
        splits[split] = loaded.examples
        skipped.extend(loaded.skipped)
    if metric is None:
        metric = _metric(splits, format)
    return Task(name, metric=metric, skipped=tuple(skipped), **splits)


def _metric(splits: Mapping[str, tuple[Example, ...]], format: str) -> str:
    """The usual metric of a format, or of what the examples look like."""
    if format != "auto":
        return FORMATS[format].metric
    first = next((e for split in splits.values() for e in split), None)
    if first is not None and first.contexts:
        return "multiple_choice"
    if first is not None and first.prompt.endswith("\nFrench:"):
        return "sacrebleu"
    return "exact_match"


def _unread(row: rows.Row) -> Example:
    raise ValueError(f"Expected a row of fields. Received: {row!r}")


def _choose_format(
    format: str, names: dict[str, str], columns: set[str], path: Path
) -> RowFormat:
    """The format asked for, or the one whose fields the columns hold."""

    def present(field: str) -> bool:
        candidates = [names.get(field, field), *_ALIASES.get(field, ())]
        return any(candidate in columns for candidate in candidates)

    if format != "auto":
        return FORMATS[format]
    for candidate in FORMATS.values():
        if all(present(field) for field in candidate.fields):
            return candidate
    raise ValueError(
        f"Expected {path.name} to have the fields of a format: "
        f"{ {name: f.fields for name, f in FORMATS.items()} }. Received: "
        f"columns={sorted(columns)}. Say which column is which with `fields`."
    )


def _renamed(
    row: rows.Row, wanted: tuple[str, ...], names: Mapping[str, str]
) -> dict[str, Any]:
    """The wanted fields of `row` under the format's own names."""
    missing = [names.get(f, f) for f in wanted if names.get(f, f) not in row]
    if missing:
        raise ValueError(
            f"Expected the fields {missing}. Received: {sorted(row)}"
        )
    return {field: row[names.get(field, field)] for field in wanted}


def _read_jsonl(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and row of each line that is not blank."""
    # Bytes split at line feeds only: str.splitlines would also break a row
    # at characters such as U+2028 that JSON allows inside a string.
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path.name}, line {number}"
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                yield place, f"Expected UTF-8 ({error})"
                continue
            except json.JSONDecodeError as error:
                yield place, f"Expected one JSON object a line ({error})"
                continue
            if isinstance(row, dict):
                yield place, row
            else:
                yield place, f"Expected a JSON object. Received: {row!r}"


def _read_csv(path: Path) -> Iterator[tuple[str, Any]]:
    """Place and row of each record below the header."""
    previous = csv.field_size_limit(sys.maxsize)
    try:
        # Bytes that are no UTF-8 become lone surrogates, which the check of
        # each text field names together with the line.
        with path.open(
            encoding="utf-8-sig", errors="surrogateescape", newline=""
        ) as file:
            # None is the name of fields beyond those of the header.
            reader = csv.DictReader(file, strict=True)
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    place = f"{path.name}, line {reader.line_num + 1}"
                    yield place, f"Expected a record of a CSV ({error})"
                    continue
                place = f"{path.name}, line {reader.line_num}"
                if None in row or None in row.values():
                    expected = len(reader.fieldnames or ())
                    yield place, f"Expected {expected} fields as in the header"
                else:
                    yield place, row
    finally:
        csv.field_size_limit(previous)

"""Rows that a visitor uploads: checked, and kept with the training."""

import dataclasses
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_grow.files import write_atomically
from keras_grow.tasks import Example
from keras_grow.tasks import hold_out
from keras_grow.tasks import read_examples
from keras_grow.tasks.columns import Columns
from keras_grow.tasks.columns import known_columns
from keras_grow.tasks.formats import CHATS
from keras_grow.tasks.sources import SUFFIXES
from keras_grow.tasks.sources import is_file_name
from keras_grow.tasks.sources import numbered_rows

MAX_BYTES = 5_000_000
MAX_ROWS = 20_000
MAX_CHARACTERS = 8_000
MIN_ROWS = 8
SPLIT = 0.2
TEMPLATES = ("gemma", "llama3", "chatml", "mistral")
ENDINGS = [*SUFFIXES, ".gz"]


class Refused(Exception):
    """An upload that cannot be trained on, with the reason in words."""


class UnknownColumns(Refused):
    """An upload of which it has to be said what its columns are."""

    def __init__(self, columns: list[str]) -> None:
        super().__init__(
            "This page does not know the names of the columns: "
            f"{', '.join(columns)}. Choose the column of the prompts and that "
            "of the answers below."
        )
        self.columns = columns


@dataclass(frozen=True)
class Reading:
    """How an upload is to be read.

    `prompt` and `answer` are columns, where the file's own names say nothing.
    `template`, one of `TEMPLATES`, makes text of chats. `split` is the share of
    the rows that measures the new skill.
    """

    prompt: str = ""
    answer: str = ""
    template: str = TEMPLATES[0]
    split: float = SPLIT

    @property
    def fields(self) -> dict[str, str]:
        """The columns that were chosen, by the fields that they are."""
        if not (self.prompt and self.answer):
            return {}
        return {"prompt": self.prompt, "response": self.answer}


@dataclass(frozen=True)
class Rows:
    """Checked rows.

    `rows` are as they were in the file, `examples` as the model will read them.
    `skipped` has a line for each row that was left out, `notes` what else is to
    be said of the file. `template` makes text of them, where they are chats.
    `split` is the share held out of the training, `held_out` the number.
    """

    rows: tuple[Mapping[str, Any], ...]
    examples: tuple[Example, ...]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    template: str | None = None
    split: float = SPLIT
    held_out: int = 0
    name: str = "rows"

    @property
    def learned(self) -> int:
        """How many rows are learned from."""
        return len(self.examples) - self.held_out

    @property
    def longest(self) -> int:
        """Characters of the longest prompt and answer together."""
        return max(len(e.prompt) + len(e.response) for e in self.examples)

    @property
    def longest_answer(self) -> int:
        """Bytes of the longest answer."""
        return max(len(e.response.encode()) for e in self.examples)

    def write(self, folder: Path) -> str:
        """Write the rows as JSONL; returns the name that `load_task` takes."""
        path = folder / "rows.jsonl"
        with write_atomically(path) as file:
            for row in self.rows:
                # Parquet has values, such as dates, that JSON has not.
                line = json.dumps(row, ensure_ascii=False, default=str)
                file.write(line + "\n")
        return str(path)


def check(file: str, reading: Reading | None = None) -> Rows:
    """Read an upload, by the names of its columns where `reading` is None.

    It is refused if it holds no examples, or too many or too few, or if it has
    to be said which columns they are in (`UnknownColumns`).
    """
    reading = reading or Reading()
    path = Path(file)
    if not is_file_name(path.name):
        raise Refused(
            f"A file that ends in {', '.join(SUFFIXES)} is needed, not "
            f"{path.name}."
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise Refused(
            f"The file has {size / 1e6:.1f} MB. At most {MAX_BYTES / 1e6:.0f} "
            "MB are taken; cut it."
        )
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            rows = _read(path, reading)
    except (ValueError, OSError, RecursionError, ImportError) as error:
        raise Refused(f"The file cannot be read. {error}") from error
    # Rows left out are counted on the page.
    notes = [str(each.message) for each in said]
    own = [note for note in notes if "are malformed and were left" not in note]
    return _with_split(rows, tuple(dict.fromkeys(own)))


def _read(path: Path, reading: Reading) -> Rows:
    fields = reading.fields
    chosen = {column.strip().casefold() for column in fields.values()}
    numbered = list(numbered_rows(path, known_columns() | chosen)[1])
    if len(numbered) > MAX_ROWS:
        raise Refused(
            f"{path.name} has {len(numbered):,} rows. At most {MAX_ROWS:,} are "
            "taken; cut it."
        )
    found = [(place, row) for place, row in numbered if isinstance(row, dict)]
    skipped = [
        f"{place}: {why}" for place, why in numbered if isinstance(why, str)
    ]
    first = found[0][1] if found else {}
    form = "prompt_response" if fields else Columns(first, {}).name()
    if len(first) == 1 and not form:
        raise Refused(
            f"The rows have one column, {next(iter(first))}. Rows with a "
            "prompt and an answer are needed."
        )
    if first and not form:
        raise UnknownColumns([str(column) for column in first])
    template = reading.template if form in CHATS else None
    loaded = read_examples(
        [row for _, row in found],
        form or "auto",
        fields,
        on_error="skip",
        template=template,
    )
    # In memory, rows are called by their numbers, from 1 on.
    places = {f"row {number}": each for number, each in enumerate(found, 1)}
    for line in loaded.skipped:
        called, _, why = line.partition(": ")
        skipped.append(f"{places[called][0]}: {why}")
    rows, examples = [], []
    for example in loaded.examples:
        place, row = places[example.source]
        characters = len(example.prompt) + len(example.response)
        if not example.response.strip():
            skipped.append(f"{place}: the answer is empty")
        elif characters > MAX_CHARACTERS:
            skipped.append(
                f"{place}: {characters:,} characters, at most "
                f"{MAX_CHARACTERS:,} are taken"
            )
        else:
            if fields:
                row = {name: row[column] for name, column in fields.items()}
            rows.append(row)
            examples.append(example)
    if len(examples) < MIN_ROWS:
        left = f" Left out: {len(skipped)}, such as {''.join(skipped[:1])}."
        raise Refused(
            f"Usable rows in {path.name}: {len(examples)}; at least "
            f"{MIN_ROWS} are needed.{left if skipped else ''}"
        )
    return Rows(
        tuple(rows),
        tuple(examples),
        tuple(skipped),
        template=template,
        split=reading.split,
        name=path.name,
    )


def _with_split(rows: Rows, notes: tuple[str, ...]) -> Rows:
    """The rows with the number of those held out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = hold_out(rows.examples, rows.split, rows.name)
    except ValueError as error:
        raise Refused(
            "There are too few different rows: none is left to measure the "
            f"new skill. {error}"
        ) from error
    if parts.duplicates:
        notes += (
            f"{parts.duplicates} rows occur more than once; they are used for "
            "training only, not to measure the skill.",
        )
    return dataclasses.replace(rows, notes=notes, held_out=len(parts.held_out))

"""A user's own rows, in files or in memory, as examples and tasks."""

from collections.abc import Mapping
from typing import Any

from keras_grow.tasks import rows
from keras_grow.tasks.chat_template import ChatTemplate
from keras_grow.tasks.columns import Columns
from keras_grow.tasks.columns import known_columns
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task
from keras_grow.tasks.formats import CHATS
from keras_grow.tasks.formats import FORMATS
from keras_grow.tasks.formats import RowFormat
from keras_grow.tasks.formats import chat_formats
from keras_grow.tasks.holdout import hold_out
from keras_grow.tasks.rows import Loaded
from keras_grow.tasks.sources import Source
from keras_grow.tasks.sources import numbered_rows


def read_examples(
    source: Source,
    format: str = "auto",
    fields: Mapping[str, str] | None = None,
    on_error: str = "raise",
    template: str | ChatTemplate | None = None,
) -> Loaded:
    """Read rows as examples.

    Formats and their fields:

    - `"prompt_response"`: `prompt`, `response` or `completion`, both used
      unchanged, or with `template` as a chat of two turns;
    - `"multiple_choice"`: `question`, `choices` (a list; in CSV a JSON list
      or texts with `|` between), `answer` or `gold` (index, text or letter);
    - `"entailment"`: `premise`, `hypothesis`, `label`;
    - `"translation"`: `en`, `fr`;
    - `"winogrande"`: `sentence`, `option1`, `option2`, `answer`;
    - `"messages"`, `"conversations"`: a list of turns with `role` (or `from`)
      and `content` (or `value`), and optionally `system`;
    - `"alpaca"`: `instruction`, `output`, and optionally `input`;
    - `"text"`: `text`; every token of it trains.

    Args:
        source: a file that ends in `.jsonl`, `.json` (an array, or one
            object per line), `.csv` or `.tsv` (with a header), each of which
            may be compressed (`.gz`), or `.parquet`; a Hugging Face
            `datasets.Dataset`; or other rows in memory.
        format: a format's name. Defaults to `"auto"`: the format whose fields
            the first row has; `"text"` if it has no other column.
        fields: the source's name for a field, where it differs, such as
            `{"prompt": "input", "response": "output"}`. Case does not matter.
            Defaults to `None`.
        on_error: `"raise"` (the default) at a malformed row, or `"skip"` to
            leave such rows out, counted in a warning and in the result.
        template: the template of chats; see `ChatTemplate.of`. Defaults to
            `None`: there are no chats.

    Returns:
        A tuple: the `examples`, and for each row that was left out a line
        in `skipped`: where it is, and what is wrong.

    Raises:
        MalformedRowError: with file and line, at a malformed row.
        ValueError: if the file's kind, the format, the fields or the template
            are unknown, or chats come without a template.
        OSError: if the file cannot be read.
        ImportError: if a package that reads the file is not installed.

    Example:
    ```python
    import pathlib
    from keras_grow.tasks import read_examples

    row = '{"prompt": "1 + 1 =", "response": " 2"}'
    pathlib.Path("a.jsonl").write_text(row)
    examples, skipped = read_examples("a.jsonl")
    ```
    """
    known = ["auto", *dict.fromkeys([*FORMATS, *CHATS])]
    if format not in known:
        raise ValueError(
            f"Expected `format` to be one of {known}. "
            f"Received: format={format!r}"
        )
    if template is not None:
        template = ChatTemplate.of(template)
    named = {column.strip().casefold() for column in (fields or {}).values()}
    name, found = numbered_rows(source, known_columns() | named)
    numbered = list(found)
    first = next((row for _, row in numbered if isinstance(row, dict)), None)
    if first is None:
        if not numbered:
            return Loaded((), ())
        return rows.collect(numbered, _unread, on_error, name)
    columns = Columns(first, fields or {})
    chosen = _chosen(format, columns, name, template)

    def make(row: rows.Row) -> Example:
        # Rows of JSON need not have the same columns.
        same = row.keys() == first.keys()
        own = columns if same else Columns(row, fields or {})
        return chosen.make(own.renamed(row, chosen))

    return rows.collect(numbered, make, on_error, name)


def file_task(
    name: str,
    train: Source | None = None,
    validation: Source | None = None,
    test: Source | None = None,
    format: str = "auto",
    fields: Mapping[str, str] | None = None,
    metric: str | None = None,
    on_error: str = "raise",
    template: str | ChatTemplate | None = None,
    split: float | None = None,
) -> Task:
    r"""Make a task from your own rows, one source per split.

    Args:
        name: the task's name.
        train: source of the training split, see `read_examples`, or `None`.
        validation: source of the validation split, or `None`.
        test: source of the test split, or `None`.
        format: see `read_examples`.
        fields: see `read_examples`.
        metric: the task's metric. Defaults to `None`: SacreBLEU for
            translation, multiple choice for WinoGrande, otherwise exact match.
        on_error: see `read_examples`.
        template: see `read_examples`.
        split: share of the training rows to hold out as the validation split,
            if there is none; see `hold_out`. Defaults to `None`.

    Returns:
        The task.

    Raises:
        ValueError: if no source is given, if `split` is given beside a
            validation split or without a training split, and as
            `read_examples` and `hold_out` do.

    Example:
    ```python
    import pathlib
    from keras_grow.tasks import file_task

    pathlib.Path("a.csv").write_text("en,fr\nGood night.,Bonne nuit.\n")
    file_task("mine", train="a.csv").metric  # "sacrebleu"
    ```
    """
    sources = {"train": train, "validation": validation, "test": test}
    splits: dict[str, Any] = {}
    skipped: list[str] = []
    given = [(part, rows) for part, rows in sources.items() if rows is not None]
    if not given:
        raise ValueError(
            "Expected a file for at least one split. "
            "Received: train=None, validation=None, test=None"
        )
    if split is not None and (train is None or validation is not None):
        raise ValueError(
            "Expected `split` with a training file and no validation file. "
            f"Received: split={split} and files for {[p for p, _ in given]}"
        )
    for part, source in given:
        loaded = read_examples(source, format, fields, on_error, template)
        splits[part] = loaded.examples
        skipped.extend(loaded.skipped)
    duplicates = 0
    if split is not None:
        parts = hold_out(splits["train"], split, name)
        splits["train"], splits["validation"], duplicates = parts
    if metric is None:
        metric = _metric(splits, format)
    return Task(
        name,
        metric=metric,
        skipped=tuple(skipped),
        duplicates=duplicates,
        **splits,
    )


def _metric(splits: Mapping[str, tuple[Example, ...]], format: str) -> str:
    """The usual metric of a format, or of such examples."""
    if format in FORMATS:
        return FORMATS[format].metric
    first = next((e for split in splits.values() for e in split), None)
    if first is not None and first.contexts:
        return "multiple_choice"
    if first is not None and first.prompt.endswith("\nFrench:"):
        return "sacrebleu"
    return "exact_match"


def _unread(row: rows.Row) -> Example:
    raise ValueError(f"Expected a row of fields. Received: {row!r}")


def _chosen(
    format: str, columns: Columns, name: str, template: ChatTemplate | None
) -> RowFormat:
    """The format asked for, or the one whose fields the columns hold."""
    wanted = columns.name() if format == "auto" else format
    if not wanted:
        known = {**{name: f.fields for name, f in FORMATS.items()}, **CHATS}
        raise ValueError(
            f"Expected {name} to have the fields of a format: {known}. "
            f"Received: columns={sorted(set(columns.columns.values()))}. Say "
            "which column is which with `fields`, or pass "
            '`format="text"` for the column `text` alone.'
        )
    if template is not None:
        formats = chat_formats(template)
        if wanted not in formats:
            raise ValueError(
                f"Expected rows of {list(formats)} beside `template`. "
                f"Received: rows of {wanted!r} in {name}"
            )
        return formats[wanted]
    if wanted in CHATS:
        raise ValueError(
            f"Expected `template` for the chats of {name}: each family of "
            "models writes chats in its own way. Received: template=None. Pass "
            'template="gemma", for example.'
        )
    return FORMATS[wanted]

"""Where rows come from: files of several kinds, and data sets in memory."""

import gzip
import os
import zlib
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_grow.tasks.csv_rows import read_csv
from keras_grow.tasks.json_rows import as_row
from keras_grow.tasks.json_rows import read_json_array
from keras_grow.tasks.json_rows import read_json_lines

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

Source = str | os.PathLike[str] | Iterable[Mapping[str, Any]]


def is_file_name(text: str) -> bool:
    """Whether a text ends in one of `SUFFIXES`, with or without `.gz`."""
    return text.lower().removesuffix(".gz").endswith(SUFFIXES)


def numbered_rows(
    source: Source, known: Collection[str]
) -> tuple[str, Iterator[tuple[str, Any]]]:
    """The name of a source, and its rows with their places.

    The source is a path, a Hugging Face `datasets.Dataset`, or any other
    iterable of mappings. With a place ("data.jsonl, line 3") comes the row
    there, or the reason, a string, why it could not be read as a row.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return path.name, _file_rows(path, known)
    if isinstance(source, Mapping):
        raise ValueError(
            "Expected the rows of one split. Received: a dictionary of "
            f"{sorted(map(str, source))}. Pass one of its values."
        )
    if not isinstance(source, Iterable):
        raise TypeError(
            "Expected a path, a data set or other rows. "
            f"Received: {type(source).__name__}"
        )
    return "the data set", _memory_rows(source)


def _file_rows(path: Path, known: Collection[str]) -> Iterator[tuple[str, Any]]:
    if not is_file_name(path.name):
        raise ValueError(
            f"Expected `path` to end in one of {SUFFIXES}, or in such an "
            f"ending and .gz. Received: path={str(path)!r}"
        )
    name = path.name
    kind = Path(name.lower().removesuffix(".gz")).suffix
    if kind == ".parquet":
        if name.lower().endswith(".gz"):
            raise ValueError(
                "Expected Parquet without gzip: it is compressed inside. "
                f"Received: path={str(path)!r}"
            )
        return _parquet_rows(path)
    if kind == ".jsonl":
        return read_json_lines(_lines(path), name)
    data = b"".join(_lines(path))
    if kind != ".json":
        return read_csv(data, name, known, "\t" if kind == ".tsv" else None)
    # Files with one object per line are often named .json, too.
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        return read_json_array(data, name)
    return read_json_lines(data.split(b"\n"), name)


def _lines(path: Path) -> Iterator[bytes]:
    compressed = path.name.lower().endswith(".gz")
    with gzip.open(path) if compressed else path.open("rb") as file:
        try:
            yield from file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"Expected {path.name} to be a whole gzip file. "
                f"Received: {error}. Copy or compress it again."
            ) from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowInvalid  # type: ignore[import-untyped,unused-ignore]
        from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ImportError(
            f"Expected the `pyarrow` package, to read {path.name}. Install "
            "it in a clone of keras_grow: `pip install '.[parquet]'`."
        ) from error
    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path.name}, row {number}", row
    except ArrowInvalid as error:
        raise ValueError(
            f"Expected {path.name} to be a Parquet file. Received: {error}"
        ) from error


def _memory_rows(source: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(source, start=1):
        row = dict(row) if isinstance(row, Mapping) else row
        yield f"row {number}", as_row(row)

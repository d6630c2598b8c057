"""The rows of a comparison's results, one line of JSON each."""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.comparison.layout import RESULTS_FILE
from keras_grow.comparison.method import Method
from keras_grow.comparison.metrics import interval_of
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import read_json
from keras_grow.files.checked_json import show

if TYPE_CHECKING:
    from keras_grow.evaluation.results import Result

Rows = list[dict[str, Any]]
_MAX_BYTES = 1 << 28
_ROW = ("method", "seed", "step", "scores", "details")
_COSTS = ("training_loss", "seconds_a_step")
_DONE = ("learning_rate", "trainable_parameters", "seconds", "peak_bytes")
_STOPPED = ("stopped_after",)


def append_result(
    folder: Path,
    method: Method,
    seed: int,
    step: int,
    results: "dict[str, Result]",
    extra: dict[str, float],
) -> dict[str, Any]:
    """Add a row to the results of a comparison and return it.

    A value that is not a finite number is None there. Its details hold the 95%
    interval of each score, `low` and `high`, where the metric has one.
    """
    details = {}
    for name, result in results.items():
        found = interval_of(result)
        ends = dict(zip(("low", "high"), found, strict=True)) if found else {}
        details[name] = {**result.to_dict(), **ends}
    row = {
        "method": method.name,
        "seed": seed,
        "step": step,
        "scores": {name: values["score"] for name, values in details.items()},
        **{k: v if math.isfinite(v) else None for k, v in extra.items()},
        "details": details,
    }
    append_line(folder / RESULTS_FILE, row)
    return row


def append_line(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a file of JSON lines."""
    with path.open("ab+") as file:
        # A write that was killed has left half a line.
        if file.tell() and not _ends_with_newline(file):
            file.write(b"\n")
        file.write(json.dumps(row).encode() + b"\n")


def read_results(folder: str | os.PathLike[str]) -> Rows:
    """Read the rows of a comparison, only the last of a step scored twice.

    Args:
        folder: folder of the comparison.

    Returns:
        Rows with `method`, `seed`, `step`, `scores` and `details`. A score that
        was not a finite number is NaN. An incomplete last line, of a write
        that was killed, is left out.

    Raises:
        ValueError: if a line is not a valid row; the message names the file,
            the line and the field.
        OSError: if there are no results.
    """
    path = Path(folder) / RESULTS_FILE
    rows = {}
    with in_file(path):
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(
                f"Expected results of at most {_MAX_BYTES} bytes. Received: "
                f"{path.stat().st_size} bytes."
            )
        for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
            try:
                row = parse_json(line.decode("utf-8"), "a row", _MAX_BYTES)
            except ValueError as error:
                if isinstance(error.__cause__, json.JSONDecodeError):
                    continue  # A write that was killed.
                raise ValueError(f"{error} In line {number}.") from error
            try:
                rows[_check_row(row)] = row
            except ValueError as error:
                raise ValueError(f"{error} In line {number}.") from error
    return list(rows.values())


def read_done(path: str | os.PathLike[str]) -> dict[str, float]:
    """Read the figures that a finished run left in its `done.json`.

    `stopped_after`, the updates made, is there only for a run that was asked to
    end early.
    """
    values = read_json(path, "what a finished run says")
    with in_file(path):
        check_fields(values, "what a finished run says", _DONE, _STOPPED)
        stopped = {
            name: check_int(values[name], name, 1)
            for name in _STOPPED
            if name in values
        }
        return {
            **stopped,
            "learning_rate": check_float(
                values["learning_rate"], "learning_rate", 0.0
            ),
            "trainable_parameters": check_int(
                values["trainable_parameters"], "trainable_parameters", 0
            ),
            "seconds": check_float(values["seconds"], "seconds", 0.0),
            "peak_bytes": check_int(values["peak_bytes"], "peak_bytes", 0),
        }


def _check_row(row: Any) -> tuple[str, int, int]:
    """The key of a row, whose values are checked and made numbers."""
    check_fields(row, "a row", _ROW, _COSTS)
    for name in _COSTS:
        if row.get(name) is not None:
            check_float(row[name], name)
    for field in ("scores", "details"):
        if not isinstance(row[field], dict):
            raise ValueError(
                f"Expected `{field}` to be an object. "
                f"Received: {field}={show(row[field])}"
            )
    if set(row["scores"]) != set(row["details"]):
        raise ValueError(
            "Expected `scores` and `details` of the same names. Received: "
            f"{show(sorted(row['scores']))} and {show(sorted(row['details']))}"
        )
    for name, score in row["scores"].items():
        row["scores"][name] = (
            math.nan if score is None else check_float(score, f"scores.{name}")
        )
        values = row["details"][name]
        if not isinstance(values, dict) or not {"metric", "n"} <= set(values):
            raise ValueError(
                f"Expected `details.{name}` to be an object with the fields "
                f"['metric', 'n', 'score']. Received: {show(values)}"
            )
        check_text(values["metric"], f"details.{name}.metric")
        check_int(values["n"], f"details.{name}.n", 0)
    return (
        check_text(row["method"], "method"),
        check_int(row["seed"], "seed", 0),
        check_int(row["step"], "step", 0),
    )


def _ends_with_newline(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")

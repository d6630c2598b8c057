"""The rows of a comparison's results, a line of JSON each."""

import json
import math
import os
from pathlib import Path
from typing import Any

from keras_grow.comparison.method import Method
from keras_grow.evaluation.results import Result

RESULTS_FILE = "results.jsonl"
Rows = list[dict[str, Any]]


def append_result(
    folder: Path,
    method: Method,
    seed: int,
    step: int,
    results: dict[str, Result],
    extra: dict[str, float],
) -> dict[str, Any]:
    """Add a row to the results of a comparison.

    Args:
        folder: folder of the comparison.
        method: the method that was scored.
        seed: seed of the run.
        step: updates made.
        results: the scores by name.
        extra: further values of the row.

    Returns:
        The row. What is no finite number is `None` there.
    """
    details = {name: result.to_dict() for name, result in results.items()}
    row = {
        "method": method.name,
        "seed": seed,
        "step": step,
        "scores": {name: values["score"] for name, values in details.items()},
        **{k: v if math.isfinite(v) else None for k, v in extra.items()},
        "details": details,
    }
    with (folder / RESULTS_FILE).open("ab+") as file:
        # A write that was killed has left half a line.
        if file.tell() and not _ends_with_newline(file):
            file.write(b"\n")
        file.write(json.dumps(row).encode() + b"\n")
    return row


def read_results(folder: str | os.PathLike[str]) -> Rows:
    """Read the rows of a comparison; of a step scored twice, the last.

    Args:
        folder: folder of the comparison.

    Returns:
        Rows with `method`, `seed`, `step`, `scores` and `details`. A score
        that was no finite number is NaN.
    """
    rows = {}
    lines = (Path(folder) / RESULTS_FILE).read_text("utf-8").splitlines()
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # A write that was killed.
        row["scores"] = {
            name: math.nan if score is None else score
            for name, score in row["scores"].items()
        }
        rows[row["method"], row["seed"], row["step"]] = row
    return list(rows.values())


def _ends_with_newline(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")

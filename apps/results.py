"""The results of a run as curves, as a table and as files."""

import csv
import io
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from . import words
from .runs import DONE_FILE
from .runs import read_plan
from .runs import read_rows

Rows = list[dict[str, Any]]
_NAMES = {"new": "New skill", "old": "Old skill"}
_LOWER = ("loss", "perplexity")


def methods_of(rows: Rows) -> list[str]:
    """Names of the methods, in the order of the results."""
    return list(dict.fromkeys(row["method"] for row in rows))


def series(rows: Rows, score: str) -> dict[str, list[tuple[float, float]]]:
    """Curves of a score by method: its mean over seeds at every step."""
    values: dict[str, dict[float, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        value = row["scores"].get(score)
        if value is not None:
            values[row["method"]][row["step"]].append(float(value))
    return {
        method: [(step, sum(v) / len(v)) for step, v in sorted(steps.items())]
        for method, steps in values.items()
    }


def score_title(rows: Rows, score: str) -> str:
    """A score's name in words, and which way is better."""
    kind, _, name = score.partition("/")
    metric = name
    for row in rows:
        metric = row.get("details", {}).get(score, {}).get("metric", metric)
    lower = any(word in metric for word in _LOWER)
    what = name if name == metric else f"{name}, {metric}"
    return (
        f"{_NAMES.get(kind, kind)}: {what.replace('_', ' ')} "
        f"({'lower' if lower else 'higher'} is better)"
    )


def comparison_table(folder: Path) -> str:
    """Last scores of every method against the base, and what they cost."""
    rows = read_rows(folder)
    if not rows:
        return words.note("info", "No results yet.")
    scores = list(rows[0]["scores"])
    first = [row for row in rows if row["step"] == 0]
    body = [["base", *[_mean(first, s) for s in scores], "", "", ""]]
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        last = max(row["step"] for row in own)
        final = [row for row in own if row["step"] == last]
        costs = _costs(folder, method)
        body.append(
            [method, *[_mean(final, s) for s in scores], str(last), *costs]
        )
    header = ["model", *[score_title(rows, score) for score in scores]]
    header += ["updates", "trained parameters", "seconds per update"]
    return words.table("After the last update", header, body)


def as_csv(rows: Rows) -> str:
    """Every score of every step as a line of CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["method", "seed", "step", "score", "value"])
    for row in rows:
        for score, value in row["scores"].items():
            writer.writerow(
                [row["method"], row["seed"], row["step"], score, value]
            )
    return out.getvalue()


def as_json(rows: Rows) -> str:
    """The results as JSON."""
    return json.dumps(rows, ensure_ascii=False, indent=1)


def _mean(rows: Rows, score: str) -> str:
    values = [row["scores"].get(score, math.nan) for row in rows]
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.4g}" if known else ""


def _costs(folder: Path, method: str) -> list[str]:
    """Trained parameters and seconds an update of a finished method."""
    plan = read_plan(folder) or {"seeds": []}
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in method)
    for seed in plan["seeds"]:
        try:
            done = json.loads(
                (folder / f"{safe}-seed{seed}" / DONE_FILE).read_text("utf-8")
            )
        except (OSError, ValueError):
            continue
        seconds = done.get("seconds_a_step")
        if seconds is None and done.get("seconds") and plan.get("updates"):
            seconds = done["seconds"] / plan["updates"]
        count = done.get("trainable_parameters")
        return [
            f"{count:,}" if count is not None else "",
            f"{seconds:.2f}" if seconds is not None else "",
        ]
    return ["", ""]

"""The results of a run as curves, as a table and as files."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from keras_grow.comparison.metrics import metric_of
from keras_grow.comparison.results import Rows

from . import words
from .runs import read_figures
from .runs import read_rows

_NAMES = {"new": "New skill", "old": "Old skill"}


def methods_of(rows: Rows) -> list[str]:
    """Names of the methods, in the order of the results."""
    return list(dict.fromkeys(row["method"] for row in rows))


def details(rows: Rows, score: str) -> list[dict[str, Any]]:
    """What the rows say of a score besides its value."""
    found = [row.get("details", {}).get(score) for row in rows]
    return [each for each in found if isinstance(each, dict)]


def metric_in(rows: Rows, score: str) -> str | None:
    """The name of a score's metric, where the rows say it."""
    found = details(rows, score)
    return next((each["metric"] for each in found if "metric" in each), None)


def score_title(rows: Rows, score: str) -> str:
    """A score's name in words, and which way is better."""
    kind, _, name = score.partition("/")
    named = metric_in(rows, score) or name
    metric = metric_of(named)
    plain = name.replace("_", " ")
    what = metric.words if name == named else f"{plain}, {metric.words}"
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{_NAMES.get(kind, kind)}: {what}{unit} ({metric.better} is better)"


def comparison_table(folder: Path) -> str:
    """Last scores of every method against the base, and what they cost."""
    rows = read_rows(folder)
    if not rows:
        return words.note("info", "No results yet.")
    scores = list(rows[0]["scores"])
    first = [row for row in rows if row["step"] == 0]
    body = [["base", *[_mean(first, s) for s in scores], "", "", ""]]
    costs: dict[str, list[str]] = {}  # Of the first seed.
    for kind, done in read_figures(folder):
        own = [f"{done['trainable_parameters']:,}", f"{done['update']:.2f}"]
        costs.setdefault(kind.name, own)
    for method in methods_of(rows):
        mine = [row for row in rows if row["method"] == method]
        last = max(row["step"] for row in mine)
        final = [row for row in mine if row["step"] == last]
        means = [_mean(final, score) for score in scores]
        taken = costs.get(method, ["", ""])
        body.append([method, *means, str(last), *taken])
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
    plain = [
        {
            **row,
            "scores": {
                name: None if math.isnan(value) else value
                for name, value in row["scores"].items()
            },
        }
        for row in rows
    ]
    return json.dumps(plain, ensure_ascii=False, indent=1)


def _mean(rows: Rows, score: str) -> str:
    values = [row["scores"].get(score, math.nan) for row in rows]
    known = [value for value in values if not math.isnan(value)]
    return f"{sum(known) / len(known):.4g}" if known else ""

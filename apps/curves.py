"""Scores over updates, with their intervals and what they are over."""

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Any

from keras_grow.comparison.metrics import metric_of
from keras_grow.comparison.results import Rows

from . import chart
from . import results
from . import words

# A score and the points of every method.
Drawn = tuple[str, dict[str, list[chart.Point]]]


def charts(rows: Rows, shown: list[str] | None = None) -> str:
    """A chart for each score, with a legend for all."""
    order = results.methods_of(rows)
    if not rows:
        return words.note("info", "No results yet.")
    drawn = by_score(rows, shown)
    about = ""
    if any(p.up for _, kept in drawn for each in kept.values() for p in each):
        about = f'<p class="kg-about">{escape(_bars(rows))}</p>'
    return (
        f"<h2>Curves</h2>{chart.legend(order)}{about}"
        f'<div class="kg-charts">{figures(rows, drawn)}</div>'
    )


def figures(rows: Rows, drawn: Sequence[Drawn]) -> str:
    """The charts alone, on axes that belong to their scores."""
    order = results.methods_of(rows)
    return "".join(
        chart.curves(
            title(rows, score), kept, order, bounds=bounds(rows, score)
        )
        for score, kept in drawn
    )


def as_svg(rows: Rows, shown: list[str] | None = None) -> str:
    """A legend and all charts one below the other in one picture."""
    order = results.methods_of(rows)
    parts, height = [], 230
    kept_names = order if shown is None else [m for m in order if m in shown]
    key = [
        f'<g transform="translate(6 {number * 18 + 6})">'
        f"{chart.sample(order.index(name))}"
        f'<text x="54" y="11" font-size="11">{escape(name)}</text></g>'
        for number, name in enumerate(kept_names)
    ]
    top = len(key) * 18 + 8
    drawn = by_score(rows, shown)
    for number, (score, kept) in enumerate(drawn):
        name = title(rows, score)
        picture = chart.svg(name, kept, order, bounds=bounds(rows, score))
        y = top + number * (height + 24)
        place = f'<svg x="0" y="{y + 20}" width="360" height="{height}" '
        parts.append(
            f'<text x="6" y="{y + 14}" font-size="12">'
            f"{escape(name)}</text>" + picture.replace("<svg ", place, 1)
        )
    total = top + len(drawn) * (height + 24) + 24
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" '
        f'height="{2 * total}" viewBox="0 0 360 {total}" '
        'font-family="sans-serif"><rect width="360" '
        f'height="{total}" fill="white"/><g color="black">'
        f"{''.join(key)}{''.join(parts)}</g></svg>"
    )


def title(rows: Rows, score: str) -> str:
    """A score's name for people, and over how many examples it is."""
    found = results.details(rows, score)
    n = next((each["n"] for each in found if each.get("n")), None)
    over = f", over {n} examples" if n else ""
    return results.score_title(rows, score) + over


def bounds(rows: Rows, score: str) -> chart.Bounds:
    """The least and the most that a score can be, where there is such."""
    named = results.metric_in(rows, score)
    if named is None:
        return chart.ANY
    metric = metric_of(named)
    return metric.low, metric.high


def points(rows: Rows, score: str) -> dict[str, list[chart.Point]]:
    """Points of a score by method: the mean over seeds at every step.

    Their intervals are over the examples where there is one seed, and from
    the lowest seed to the highest where there are several.
    """
    found: dict[str, dict[float, list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    # The base is scored once; the rows of other methods have its score alone.
    first = results.details([r for r in rows if r["step"] == 0], score)
    base = next((each for each in first if "low" in each), {})
    for row in rows:
        if row["scores"].get(score) is not None:
            found[row["method"]][row["step"]].append(row)
    series = {}
    for method, steps in found.items():
        series[method] = [
            _point(step, score, steps[step], base if step == 0 else {})
            for step in sorted(steps)
        ]
    return series


def _point(
    step: float, score: str, rows: Rows, base: dict[str, Any]
) -> chart.Point:
    values = [float(row["scores"][score]) for row in rows]
    mean = sum(values) / len(values)
    span = None
    if len(values) > 1:
        span = min(values), max(values)
    else:
        known = next(iter(results.details(rows, score)), {})
        known = known if "low" in known else base
        if "low" in known:
            span = float(known["low"]), float(known["high"])
    said = f"{mean:.4g}"
    if span:
        said += f" ({span[0]:.4g} to {span[1]:.4g})"
    return chart.Point(step, mean, span, words=f"{said} at {step:g} updates")


def by_score(rows: Rows, shown: Sequence[str] | None = None) -> list[Drawn]:
    """Every score and the points of the methods that are shown."""
    scores = rows[0]["scores"] if rows else ()
    return [
        (
            score,
            {
                name: found
                for name, found in points(rows, score).items()
                if shown is None or name in shown
            },
        )
        for score in scores
    ]


def _bars(rows: Rows) -> str:
    seeds = len({row["seed"] for row in rows})
    if seeds > 1:
        return f"Bars go from the lowest to the highest of {seeds} seeds."
    return (
        "Bars are 95% intervals over the examples; a difference within them "
        "may be chance."
    )

"""The front of a comparison: learned against forgotten, with intervals."""

import math
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_grow.comparison.front import forgetting
from keras_grow.comparison.front import loss_at
from keras_grow.comparison.intervals import Interval
from keras_grow.comparison.intervals import interval
from keras_grow.comparison.intervals import ratio
from keras_grow.comparison.intervals import resamples
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.share_rows import BASE
from keras_grow.comparison.share_rows import Losses
from keras_grow.comparison.share_rows import Point

BUDGETS = (1.0, 2.0, 5.0)  # percent of perplexity


class FrontPoint(NamedTuple):
    """A method at a share of its change, the mean over seeds.

    `learned` is the loss of the new skill in nats per token and `forgotten` the
    rise of the old skill's perplexity in percent, each with the lower and the
    upper end of its interval: NaN where there is one example alone.
    """

    method: str
    share: float
    learned: tuple[float, float, float]
    forgotten: tuple[float, float, float]


def front_points(
    plan: Plan, rows: Mapping[Point, Mapping[str, Losses]], new: str, old: str
) -> list[FrontPoint]:
    """The points of each method at shares scored with all seeds, base first."""
    base = rows[BASE, 0, 0.0]
    points = []
    for method in plan.methods:
        for share in (0.0, *sorted(plan.shares)):
            keys = [(method.name, seed, share) for seed in plan.seeds]
            found = [rows[key] for key in keys if key in rows]
            if share and len(found) < len(keys):
                continue
            seeds = found if share else [base]
            learned, forgotten = (
                _change(base[name], _mean([each[name] for each in seeds]))
                for name in (new, old)
            )
            start = base[new].mean
            points.append(
                FrontPoint(
                    method.name,
                    share,
                    _three(start + x for x in learned),
                    _three(forgetting(forgotten, 0.0)),
                )
            )
    scored = {point.method for point in points if point.share}
    return [point for point in points if point.method in scored]


def front_table(points: Sequence[FrontPoint], new: str, old: str) -> list[str]:
    """The points in Markdown, and the loss of each method within a budget."""
    lines = [
        f"| method | share kept | {new} | {old}, rise of perplexity |",
        "| --- | ---: | ---: | ---: |",
    ]
    for method, share, learned, forgotten in points:
        if share:
            lines.append(
                f"| {method} | {share:g} | {in_words('{:.3f}', learned)} | "
                f"{in_words('{:+.1f}', forgotten, '%')} |"
            )
    lines += [
        "",
        f"The lowest {new} on the curve of each method while the perplexity of "
        f"{old} rises by at most the percentage in the header:",
        "",
        "| method | " + " | ".join(f"{b:g}%" for b in BUDGETS) + " |",
        "| --- |" + " ---: |" * len(BUDGETS),
    ]
    for method in dict.fromkeys(point.method for point in points):
        own = [point for point in points if point.method == method]
        lost = [point.forgotten[0] for point in own]
        losses = [point.learned[0] for point in own]
        reached = [loss_at(lost, losses, b) for b in BUDGETS]
        cells = ["" if math.isnan(loss) else f"{loss:.3f}" for loss in reached]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def in_words(
    form: str, values: tuple[float, float, float], unit: str = ""
) -> str:
    """A point's number with its interval, where it has one."""
    value, low, high = map(form.format, values)
    if math.isnan(values[1]) or math.isnan(values[2]):
        return f"{value}{unit}"
    return f"{value}{unit} ({low} to {high})"


def _change(before: Losses, after: Losses) -> tuple[float, float, float]:
    """A change of the mean loss, with its interval, the examples paired."""
    if len(before.losses) < 2:
        # Every resample of one example is the example itself.
        return Interval(after.mean - before.mean, math.nan, math.nan)
    draws = resamples(len(before.losses))
    changes = ratio(after.losses - before.losses, before.tokens, draws)
    return interval(after.mean - before.mean, changes)


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


def _mean(seeds: Sequence[Losses]) -> Losses:
    """The losses of each example, the mean over seeds."""
    losses = np.mean([each.losses for each in seeds], axis=0)
    return Losses(losses, seeds[0].tokens)

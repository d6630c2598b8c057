"""The pictures of a comparison, like the paper's figures."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_grow.comparison.layer_counts import COUNTED_NAME
from keras_grow.comparison.method import Method
from keras_grow.comparison.metrics import metric_of
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.share_points import FrontPoint

Rows = list[dict[str, Any]]
_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def curves(rows: Rows) -> Any:
    """Every score over updates: old skills above, the new task below.

    As the paper's Figures 2, 6 and 7; bands are a standard deviation over
    seeds.
    """
    old, new = _names(rows)
    figure, axes = _grid(2, max(len(old), len(new)))
    for row, group in zip(axes, (old, new), strict=True):
        for axis, name in zip(row, group, strict=False):
            for style, method in _styles(rows):
                steps, mean, spread = _curve(rows, method, name)
                axis.plot(steps, mean, **style)
                if spread.any():
                    axis.fill_between(
                        steps, mean - spread, mean + spread, alpha=0.2
                    )
            axis.set_xlabel("updates")
            _label(axis.set_title, axis.set_yscale, rows, name)
    _finish(figure, axes)
    return figure


def trade_off(rows: Rows) -> Any:
    """What is learned against what is kept, one line per method over updates.

    One panel for each old skill and each score of the new task. The large mark
    is the end of training; the cross is the base.
    """
    old, new = _names(rows)
    figure, axes = _grid(len(new), max(len(old), 1))
    for row, new_name in zip(axes, new, strict=True):
        for axis, old_name in zip(row, old, strict=False):
            for style, method in _styles(rows):
                _, kept, _ = _curve(rows, method, old_name)
                _, learned, _ = _curve(rows, method, new_name)
                (line,) = axis.plot(kept, learned, **style | {"markersize": 3})
                axis.plot(
                    kept[-1:],
                    learned[-1:],
                    marker=style["marker"],
                    color=line.get_color(),
                    markersize=9,
                )
            axis.plot(kept[:1], learned[:1], "kx", markersize=9)
            _label(axis.set_xlabel, axis.set_xscale, rows, old_name)
            _label(axis.set_ylabel, axis.set_yscale, rows, new_name)
    _finish(figure, axes)
    return figure


def front(points: Sequence[FrontPoint], new: str, old: str) -> Any:
    """What is learned against what is forgotten, one line per method.

    Each line goes from the base over the shares of the change that are kept, in
    the order of the points. Bars are 95% bootstrap intervals of the change from
    the base.
    """
    figure, axes = _grid(1, 1)
    figure.set_size_inches(6.4, 4.4)
    axis = axes[0, 0]
    for style, method in _named(point.method for point in points):
        own = [point for point in points if point.method == method]
        learned = _placed(point.learned for point in own)
        forgotten = _placed(point.forgotten for point in own)
        axis.errorbar(
            forgotten[:, 0],
            learned[:, 0],
            xerr=np.abs(forgotten[:, 1:] - forgotten[:, :1]).T,
            yerr=np.abs(learned[:, 1:] - learned[:, :1]).T,
            elinewidth=0.6,
            **style,
        )
    axis.set_xlabel(f"{old}: rise of perplexity in % (lower is better)")
    axis.set_ylabel(f"{new}: nats per token (lower is better)")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def layer_counts(plan: Plan, rows: Rows) -> Any:
    """Final scores over the number of grown blocks, one line per method.

    As the paper's Figures 3 and 4. Methods that differ only in the number
    of their blocks are one line; all others are horizontal lines. Returns None
    if no line has three numbers of blocks.
    """
    lines = defaultdict(list)
    for method in plan.methods:
        same = dataclasses.replace(method, name="", layers=None)
        alike = same if _count(method) else method
        lines[alike].append(method)
    if max(len(methods) for methods in lines.values()) < 3:
        return None
    old, new = _names(rows)
    figure, axes = _grid(2, max(len(old), len(new)))
    for row, group in zip(axes, (old, new), strict=True):
        for axis, name in zip(row, group, strict=False):
            _, start, _ = _curve(rows, plan.methods[0].name, name)
            axis.axhline(start[0], color="black", linestyle=":", label="base")
            for number, methods in enumerate(lines.values()):
                _count_line(axis, rows, name, number, methods)
            axis.set_xlabel("grown blocks")
            _label(axis.set_title, axis.set_yscale, rows, name)
    _finish(figure, axes)
    return figure


def _count_line(
    axis: Any, rows: Rows, name: str, number: int, methods: Sequence[Method]
) -> None:
    ends = {m: _curve(rows, m.name, name)[1][-1] for m in methods}
    if len(methods) == 1:
        style = _style(number, methods[0].name)
        del style["marker"]
        axis.axhline(ends[methods[0]], color=f"C{number}", **style)
        return
    ordered = sorted(methods, key=_count)
    axis.plot(
        [_count(method) for method in ordered],
        [ends[method] for method in ordered],
        color=f"C{number}",
        **_style(number, COUNTED_NAME.sub("", ordered[0].name)),
    )


def _count(method: Method) -> int:
    """How many blocks a method names; 0 if none."""
    if isinstance(method.layers, tuple):
        return len(method.layers)
    return method.layers or 0


def _names(rows: Rows) -> tuple[list[str], list[str]]:
    names = list(rows[0]["scores"])
    return (
        [name for name in names if name.startswith("old/")],
        [name for name in names if name.startswith("new/")],
    )


def _curve(rows: Rows, method: str, name: str) -> tuple[list[int], Any, Any]:
    """Scored steps, and mean and standard deviation over seeds at each."""
    found = defaultdict(list)
    for row in rows:
        if row["method"] == method:
            found[row["step"]].append(row["scores"][name])
    steps = sorted(found)
    return (
        steps,
        np.array([np.mean(found[step]) for step in steps]),
        np.array([np.std(found[step]) for step in steps]),
    )


def _styles(rows: Rows) -> list[tuple[dict[str, Any], str]]:
    return _named([row["method"] for row in rows])


def _named(methods: Iterable[str]) -> list[tuple[dict[str, Any], str]]:
    """A style for each method that is named."""
    names = dict.fromkeys(methods)
    return [(_style(i, method), method) for i, method in enumerate(names)]


def _style(number: int, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "linestyle": _STYLES[number % len(_STYLES)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 4,
    }


def _placed(values: Iterable[tuple[float, float, float]]) -> Any:
    """Numbers and ends of intervals `[N, 3]`; what is infinite has no place."""
    found = np.array(list(values))
    return np.where(np.isfinite(found), found, np.nan)


def _label(write: Any, scale: Any, rows: Rows, name: str) -> None:
    metric = metric_of(rows[0]["details"][name]["metric"])
    write(f"{name} ({metric.better} is better)")
    large = any(row["scores"][name] > 200 for row in rows)
    if large and metric.better == "lower":
        scale("log")


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _finish(figure: Any, axes: Any) -> None:
    """One legend for all panels; panels without a line disappear."""
    for axis in axes.flat:
        if not axis.lines:
            axis.set_axis_off()
    drawn = next(axis for axis in axes.flat if axis.lines)
    handles, labels = drawn.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)

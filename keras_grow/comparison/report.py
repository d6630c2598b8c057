"""The report of a comparison: a table, and curves like the paper's."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_grow.comparison.plan import Plan
from keras_grow.comparison.plan import run_name

RESULTS_FILE = "results.jsonl"
Rows = list[dict[str, Any]]
_LOWER_IS_BETTER = ("loss", "perplexity")


def read_results(folder: Path) -> Rows:
    """Read the rows of a comparison; of a step scored twice, the last.

    Args:
        folder: folder of the comparison.

    Returns:
        Rows with `method`, `seed`, `step`, `scores` and `details`.
    """
    rows = {}
    with (folder / RESULTS_FILE).open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                continue  # A write that was killed.
            row = json.loads(line)
            rows[row["method"], row["seed"], row["step"]] = row
    return list(rows.values())


def write_report(folder: Path) -> Path:
    """Write `report.md` and `curves.png` from the results of a comparison.

    Args:
        folder: folder of the comparison.

    Returns:
        Path of the Markdown report.
    """
    plan = Plan.load(folder)
    rows = read_results(folder)
    plot_curves(rows, folder / "curves.png")
    lines = [
        f"# {plan.task} on {plan.model}",
        "",
        f"{plan.updates} updates of {plan.batch_size} examples, Adam, seeds "
        f"{', '.join(map(str, plan.seeds))}; scores over up to "
        f"{plan.examples} examples a set. Mean over seeds.",
        "",
        *_table(plan, folder, rows),
        "",
        "![New skill below, old skills above, over updates](curves.png)",
        "",
        "Learning rates: "
        + ", ".join(f"{m.name} {m.learning_rate:g}" for m in plan.methods)
        + ".",
        "",
    ]
    path = folder / "report.md"
    path.write_text("\n".join(lines), "utf-8")
    return path


def plot_curves(rows: Rows, path: Path) -> None:
    """Plot every score over updates: old skills above, the new task below.

    Args:
        rows: what `read_results` returned.
        path: the picture, in any format of matplotlib.
    """
    from matplotlib.figure import Figure

    names = list(rows[0]["scores"])
    old = [name for name in names if name.startswith("old/")]
    new = [name for name in names if name.startswith("new/")]
    columns = max(len(old), len(new))
    figure = Figure(figsize=(4.2 * columns, 6.4), layout="constrained")
    axes = figure.subplots(2, columns, squeeze=False)
    for row, group in zip(axes, (old, new), strict=True):
        for axis, name in zip(row, group, strict=False):
            _plot_score(axis, rows, name)
        for axis in row[len(group) :]:
            axis.set_axis_off()
    handles, labels = axes[1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def _plot_score(axis: Any, rows: Rows, name: str) -> None:
    lower = _is_lower_better(rows, name)
    axis.set_title(f"{name} ({'lower' if lower else 'higher'} is better)")
    axis.set_xlabel("updates")
    for number, method in enumerate(dict.fromkeys(r["method"] for r in rows)):
        curves = defaultdict(list)
        for row in rows:
            if row["method"] == method:
                curves[row["step"]].append(row["scores"][name])
        steps = sorted(curves)
        mean = np.array([np.mean(curves[step]) for step in steps])
        axis.plot(
            steps,
            mean,
            label=method,
            linestyle=_STYLES[number % len(_STYLES)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
        )
        if max(map(len, curves.values())) > 1:
            spread = np.array([np.std(curves[step]) for step in steps])
            axis.fill_between(steps, mean - spread, mean + spread, alpha=0.2)
    if lower and any(r["scores"][name] > 200 for r in rows):
        axis.set_yscale("log")


def _table(plan: Plan, folder: Path, rows: Rows) -> list[str]:
    """The last scores of every method, and what they cost."""
    names = list(rows[0]["scores"])
    header = ["method", *names, "trained parameters", "s a step", "peak GB"]
    start = [row for row in rows if row["step"] == 0]
    lines = [
        "| " + " | ".join(header) + " |",
        "| --- |" + " ---: |" * (len(header) - 1),
        _line("base", [_mean(start, name) for name in names] + [""] * 3),
    ]
    for method in plan.methods:
        last = [
            row
            for row in rows
            if row["method"] == method.name and row["step"] == plan.updates
        ]
        costs = [
            json.loads(done.read_text("utf-8"))
            for seed in plan.seeds
            for done in [folder / run_name(method, seed) / "done.json"]
            if done.exists()
        ]
        if not last or not costs:
            continue
        lines.append(
            _line(
                method.name,
                [
                    *[_mean(last, name) for name in names],
                    f"{costs[0]['trainable_parameters']:,}",
                    f"{np.mean([c['seconds_a_step'] for c in costs]):.2f}",
                    f"{max(c['peak_bytes'] for c in costs) / 1e9:.1f}",
                ],
            )
        )
    return lines


def _mean(rows: Rows, name: str) -> str:
    return f"{np.mean([row['scores'][name] for row in rows]):.4g}"


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _is_lower_better(rows: Rows, name: str) -> bool:
    metric = rows[0]["details"][name]["metric"]
    return any(word in metric for word in _LOWER_IS_BETTER)

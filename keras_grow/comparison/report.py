"""The report of a comparison: a table, and curves like the paper's."""

import os
from pathlib import Path

import numpy as np

from keras_grow.comparison import plots
from keras_grow.comparison.layout import DONE_FILE
from keras_grow.comparison.layout import REPORT_FILE
from keras_grow.comparison.layout import SHARES_FILE
from keras_grow.comparison.layout import RunFolder
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.comparison.results import Rows
from keras_grow.comparison.results import read_done
from keras_grow.comparison.results import read_results
from keras_grow.comparison.share_points import front_points
from keras_grow.comparison.share_points import front_table
from keras_grow.comparison.share_rows import BASE
from keras_grow.comparison.share_rows import read_shares
from keras_grow.comparison.sweep import chosen_rate
from keras_grow.comparison.sweep import losses
from keras_grow.files import atomic_path
from keras_grow.files import write_atomically


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write `report.md` and its pictures from the results of a comparison.

    Args:
        folder: folder of the comparison.

    Returns:
        Path of the Markdown report.
    """
    folder = Path(folder)
    plan = Plan.load(folder)
    rows = read_results(folder)
    counted = plots.layer_counts(plan, rows)
    for name, figure in (
        ("curves.png", plots.curves(rows)),
        ("trade_off.png", plots.trade_off(rows)),
        ("layers.png", counted),
    ):
        if figure:
            with atomic_path(folder / name) as part:
                figure.savefig(part, dpi=110)
    lines = [
        f"# {_task_name(plan.task)} on {Path(plan.model).name}",
        "",
        f"{plan.updates} updates of {plan.batch_size} examples, Adam, seeds "
        f"{', '.join(map(str, plan.seeds))}; scores over up to "
        f"{plan.examples} examples per set. Mean over seeds. In parentheses, "
        "the change of an old skill from the base: in points, or for a "
        "perplexity in percent (as a factor if it is ten or more).",
        "",
        *_table(plan, folder, rows),
        "",
        "![New skill below, old skills above, over updates](curves.png)",
        "",
        "![New skill against old skills, update by update](trade_off.png)",
        "",
    ]
    if counted:
        lines += ["![Scores over the number of blocks](layers.png)", ""]
    lines += _front(plan, folder)
    lines += ["Methods: ", "", *_methods(plan, folder), ""]
    path = folder / REPORT_FILE
    with write_atomically(path) as file:
        file.write("\n".join(lines))
    return path


def _front(plan: Plan, folder: Path) -> list[str]:
    """What each method keeps at shares of its change, with a picture."""
    if not (folder / SHARES_FILE).exists():
        return []
    rows = read_shares(folder)
    new, *old = rows[BASE, 0, 0.0]
    lines = [
        "## Shares of the change",
        "",
        "Without training: a growth by its dial, LoRA by its scale, all others "
        "by interpolating weights with the base's (WiSE-FT). In parentheses, "
        "95% bootstrap intervals over examples of the change from the base; a "
        "single text has none.",
        "",
    ]
    for number, name in enumerate(old, 1):
        points = front_points(plan, rows, new, name)
        picture = f"front_{number}.png" if number > 1 else "front.png"
        with atomic_path(folder / picture) as part:
            plots.front(points, new, name).savefig(part, dpi=110)
        table = front_table(points, new, name)
        lines += [f"![{new} against {name}]({picture})", "", *table, ""]
    return lines if old else []


def _task_name(task: str) -> str:
    """The name of a task; of files, without their folders."""
    return ", ".join(Path(part).name for part in task.split(","))


def _table(plan: Plan, folder: Path, rows: Rows) -> list[str]:
    """The last scores of every method, and what they cost."""
    names = list(rows[0]["scores"])
    metrics = {n: rows[0]["details"][n]["metric"] for n in names}
    header = ["method", *names, "trained parameters", "s per step", "peak GB"]
    start = [row for row in rows if row["step"] == 0]
    lines = [
        "| " + " | ".join(header) + " |",
        "| --- |" + " ---: |" * (len(header) - 1),
        _line("base", [_mean(start, name) for name in names] + [""] * 3),
    ]
    for method in plan.methods:
        # By seed. A run that was asked to end early has made fewer updates.
        done = {
            seed: read_done(run.path / DONE_FILE)
            for seed in plan.seeds
            for run in [RunFolder(folder, method, seed)]
            if run.is_done
        }
        ends = {
            seed: values.get("stopped_after", plan.updates)
            for seed, values in done.items()
        }
        last = [
            row
            for row in rows
            if row["method"] == method.name
            and row["step"] == ends.get(row["seed"], plan.updates)
        ]
        costs = list(done.values())
        if not last or not costs:
            continue
        lines.append(
            _line(
                method.name,
                [
                    *[
                        _mean(last, name) + _lost(start, last, name, metrics)
                        for name in names
                    ],
                    f"{costs[0]['trainable_parameters']:,}",
                    f"{np.mean([r['seconds_a_step'] for r in last]):.2f}",
                    f"{max(c['peak_bytes'] for c in costs) / 1e9:.1f}",
                ],
            )
        )
    return lines


def _methods(plan: Plan, folder: Path) -> list[str]:
    """The settings of every method, with the learning rates that were tried."""
    lines = []
    for method in plan.methods:
        settings = ", ".join(
            f"{key} {value}"
            for key, value in method.to_dict().items()
            if key not in ("name", "learning_rate")
            and value != Method.__dataclass_fields__[key].default
        )
        tried = losses(folder, method, plan.seeds[0])
        rate = chosen_rate(folder, method, plan.seeds[0])
        line = f"- {method.name}: {settings}, learning rate {rate:g}"
        if tried:
            line += ", of " + ", ".join(
                f"{r:g} (held-out loss {loss:.3g})" for r, loss in tried.items()
            )
        lines.append(line)
    return lines


def _mean(rows: Rows, name: str) -> str:
    return f"{np.mean([row['scores'][name] for row in rows]):.4g}"


def _lost(start: Rows, last: Rows, name: str, metrics: dict[str, str]) -> str:
    """The change of an old skill: points, or a perplexity over the base's."""
    if not name.startswith("old/"):
        return ""
    before, after = (
        np.mean([row["scores"][name] for row in part]) for part in (start, last)
    )
    if metrics[name] == "perplexity":
        ratio = after / before
        return f" ({ratio - 1:+.1%})" if ratio < 10 else f" ({ratio:.3g} times)"
    return f" ({100 * (after - before):+.1f})"


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"

"""The figures: every method's front, and a few methods' dials."""

from pathlib import Path
from typing import Any

import numpy as np
from results import SHARES
from results import Front

from keras_grow.comparison.front import front

MAIN = ("sft", "lora", "g_freeze", "g_freeze_10", "g_train", "g_freeze_up")
RIVALS = ("sft_up", "sft_attention", "dft", "fapm", "sft+replay", "sft+self")
COLORS = (*MAIN, *RIVALS)
PANELS = {
    "no anchor": MAIN,
    "with the anchor": tuple(f"{method}+anchor" for method in MAIN),
    "rivals beside G-Train": ("g_train", *RIVALS),
}
# The dials of the README: method, and its name for people.
DIALS = {
    "sft": "fine-tuning (SFT)",
    "lora": "LoRA, all linear layers",
    "g_freeze": "G-Freeze: new slices",
    "g_train": "G-Train: up-projections",
}
ROUTED = {"g_freeze": "G-Freeze", "lora": "LoRA"}


def draw_fronts(data: Front, title: str, path: Path) -> None:
    """All points, each method's front, intervals on the front's points."""
    from matplotlib.figure import Figure

    panels = {
        panel: [method for method in methods if method in data.runs]
        for panel, methods in PANELS.items()
    }
    panels = {name: found for name, found in panels.items() if len(found) > 1}
    figure = Figure(figsize=(5 * len(panels), 5), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    lowest = min(
        data.curve(run, "validation")[0].min()
        for runs in data.runs.values()
        for run in runs.values()
    )
    for axis, (panel, methods) in zip(axes, panels.items(), strict=True):
        for method in methods:
            _draw_front(data, axis, method)
        axis.set_title(panel)
        axis.set_xlim(-1, 15)
        axis.set_ylim(lowest - 0.06, lowest + 0.7)
        axis.set_xlabel("WikiText-2 perplexity, % above the base's")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel(f"{title}, loss (lower is better)")
    figure.savefig(path, dpi=110)


def _draw_front(data: Front, axis: Any, method: str) -> None:
    plain = method.removesuffix("+anchor")
    color = f"C{COLORS.index(plain) if plain in COLORS else 0}"
    points, bars = [], []
    for (_, seed), run in data.runs[method].items():
        x, y = data.curve(run, "wikitext"), data.curve(run, "validation")
        axis.plot(x[0][1:], y[0][1:], ".", color=color, ms=3, alpha=0.4)
        if seed == 0:
            points += list(zip(x[0], y[0], strict=True))
            ends = [np.quantile(c[1], [0.025, 0.975], axis=0) for c in (x, y)]
            bars += list(np.stack(ends).transpose(2, 0, 1))
    p, b = np.array(points), np.array(bars)
    on = front(p)
    order = np.argsort(p[on][:, 0])
    p, b = p[on][order], b[on][order]
    error = np.abs(b - p[:, :, None]).transpose(1, 2, 0)
    axis.errorbar(
        p[:, 0], p[:, 1], error[1], error[0], "-o", color=color, ms=4,
        lw=1, elinewidth=0.5, label=method,
    )  # fmt: skip


def draw_dials(data: Front, title: str, path: Path) -> None:
    """A run of each method, from the base to all of its change."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, anchor in zip(axes, ("", "+anchor"), strict=True):
        runs = [data.best(method + anchor)[1] for method in DIALS]
        losses = [data.curve(run, "validation")[0] for run in runs]
        base, lowest = losses[0][0], np.min(losses)
        for index, (method, run) in enumerate(zip(DIALS, runs, strict=True)):
            _draw_dial(data, axis, run, f"C{index}", method)
        axis.plot(0, base, "ko", ms=7, zorder=5)
        axis.annotate("base", (0, base), (8, -3), textcoords="offset points")
        axis.set_xlim(-1, 15)
        # With room below for what is written there.
        axis.set_ylim(bottom=lowest - 0.15 * (base - lowest))
        axis.set_xlabel("old skill: WikiText-2 perplexity, % above the base's")
        axis.grid(alpha=0.3)
    _draw_routed(data, axes[0])
    axes[0].set_title("no anchor (numbers: the dial, from 0 to 1)")
    axes[1].set_title("with the anchor (KLAnchor)")
    axes[0].set_ylabel(f"new skill: {title},\nloss (lower is better)")
    axes[0].legend(fontsize=9, loc="upper right")
    figure.savefig(path, dpi=110)


def _draw_dial(
    data: Front, axis: Any, run: Any, color: str, method: str
) -> None:
    x, y = data.curve(run, "wikitext"), data.curve(run, "validation")
    bars = [
        np.abs(np.quantile(drawn, [0.025, 0.975], axis=0) - plain)
        for plain, drawn in (x, y)
    ]
    axis.errorbar(
        x[0], y[0], bars[1], bars[0], "-o", color=color, ms=4, lw=1.5,
        elinewidth=0.7, label=DIALS[method],
    )  # fmt: skip
    if method != "g_train":
        return  # The shares are the same for all.
    shares = [0.0, *run["meta"].get("shares", SHARES)]
    for share, *point in zip(shares[1:], x[0][1:], y[0][1:], strict=True):
        axis.annotate(
            f"{share:g}", point, (-6, -14), textcoords="offset points",
            fontsize=8, color=color,
        )  # fmt: skip


def _draw_routed(data: Front, axis: Any) -> None:
    """A growth behind a router, all of its change kept, and LoRA's figure."""
    runs = {name: data.best(method)[1] for method, name in ROUTED.items()}
    losses = [
        f"{name} {data.routed(run, 'validation')[0]:.2f}"
        for name, run in runs.items()
    ]
    run = runs["G-Freeze"]
    point = [data.routed(run, name)[0] for name in ("wikitext", "validation")]
    axis.plot(*point, "*", color="C2", ms=16, mec="black", zorder=6)
    axis.annotate(
        f"behind a router: {', '.join(losses)}", point, (-4, -26),
        textcoords="offset points", fontsize=9,
    )  # fmt: skip

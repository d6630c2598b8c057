"""The report of `peers.py` for people."""

import numpy as np

# What every side of training takes turns with.
PEFT = "peft_lora8@torch"
RESAMPLES = 2000
# part, ours, theirs, figure, and what ours over theirs is to be
GOALS = [
    ("score", "scorer@jax", "lm_eval@torch", "rows_a_s", "at least 1.5"),
    ("generate", "grow_all@jax", "transformers@torch", "one_a_s", "at least 1"),
    (
        "generate",
        "grow_all@jax",
        "transformers@torch",
        "eight_a_s",
        "at least 1",
    ),
]
COLUMNS = {
    "train": {
        "epoch_s": ("epoch s", ".1f"),
        "beside_s": ("PEFT's LoRA beside it, s", ".1f"),
        "ratio": ("ratio", ".2f"),
        "interval": ("95%", ""),
        "products": ("by products", ".2f"),
        "processor_s": ("processor s", ".1f"),
        "first_s": ("to warm up, s", ".1f"),
        "tokens_a_s": ("useful tokens/s", ".1f"),
        "padding": ("padding", ".0%"),
        "peak_gb": ("peak GB", ".2f"),
        "trainable": ("trainable", ",d"),
        "loss": ("last loss", ".3f"),
    },
    "score": {
        "winogrande": ("WinoGrande", ".4f"),
        "lambada": ("LAMBADA", ".4f"),
        "score_s": ("seconds", ".1f"),
        "rows_a_s": ("rows/s", ".2f"),
        "first_s": ("first time s", ".1f"),
        "peak_gb": ("peak GB", ".2f"),
    },
    "generate": {
        "one_a_s": ("tokens/s, one prompt", ".2f"),
        "eight_a_s": ("tokens/s, eight", ".2f"),
        "first_s": ("first call s", ".1f"),
        "peak_gb": ("peak GB", ".2f"),
    },
}
TEXT = {
    "train": "`ratio` is the seconds of the epoch over those of PEFT's LoRA, "
    "which took turns with it, part by part; its interval is a bootstrap over "
    "the parts. `by products` is the same of the matrix products that each "
    "computes, by the model's shape and the padding. The aim is a ratio of "
    "0.45 of grow_last10. The losses are means over different positions, and "
    "do not compare.",
}


def markdown(report):
    """The whole report."""
    lines = ["# Against the ecosystem", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    for note in report["notes"]:
        lines += ["", note]
    for part, columns in COLUMNS.items():
        sides = report["parts"].get(part, {})
        if not sides:
            continue
        if part == "train":
            sides = _with_ratios(sides)
        lines += ["", f"## {part}", ""]
        lines += [TEXT[part], ""] if part in TEXT else []
        names = [name for name, _ in columns.values()]
        lines += [f"| | {' | '.join(names)} |"]
        lines += ["| --- |" + " ---: |" * len(columns)]
        for side, figures in sides.items():
            cells = [
                "" if figures.get(key) is None else format(figures[key], form)
                for key, (_, form) in columns.items()
            ]
            if "failed" in figures:
                cells[0] = figures["failed"]
            lines.append(f"| {side} | {' | '.join(cells)} |")
    found = [_goal(report, *goal) for goal in GOALS]
    if any(found):
        lines += ["", "## ratios", "", "| | ratio | goal |"]
        lines += ["| --- | ---: | --- |", *filter(None, found)]
    return "\n".join(lines) + "\n"


def _goal(report, part, ours, theirs, figure, goal):
    """A line of the last table, or None where a side is missing."""
    sides = report["parts"].get(part, {})
    both = [sides.get(side, {}).get(figure) for side in (ours, theirs)]
    if None in both:
        return None
    name = f"{part}: {figure} of {ours} / {theirs}"
    return f"| {name} | {both[0] / both[1]:.2f} | {goal} |"


def _with_ratios(sides):
    """Each side beside its own epoch of PEFT's, and PEFT's first of all."""
    rows = {}
    for side, figures in sides.items():
        beside = figures.get("beside", {})
        if "failed" in figures or "failed" in beside:
            rows[side] = {"failed": figures.get("failed", beside.get("failed"))}
            continue
        ratio, low, high = _ratio(figures["turns_s"], beside["turns_s"])
        rows[side] = figures | {
            "beside_s": beside["epoch_s"],
            "ratio": ratio,
            "interval": f"{low:.2f} to {high:.2f}",
            "products": figures["products_t"] / beside["products_t"],
        }
        # The same epoch again and again: one row of it is enough.
        rows.setdefault(PEFT, beside)
    return rows


def _ratio(ours, theirs):
    """The ratio of the sums, and a 95% bootstrap interval over the turns."""
    both = np.array([ours, theirs])
    drawn = np.random.default_rng(0).integers(
        both.shape[1], size=(RESAMPLES, both.shape[1])
    )
    sums = both[:, drawn].sum(axis=-1)
    low, high = np.quantile(sums[0] / sums[1], (0.025, 0.975))
    return both[0].sum() / both[1].sum(), low, high

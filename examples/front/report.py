"""The report and the figures from the committed rows.

python examples/front/report.py                 # examples/results/front
python examples/front/report.py --task science  # examples/results/front_science
python examples/front/report.py --pack RUNS --tokens FILE   # rows from runs
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from pictures import draw_dials
from pictures import draw_fronts
from results import DRAWS
from results import RESULTS
from results import SHARES
from results import Front
from results import Run
from results import pack

from keras_grow.comparison.front import bracketed
from keras_grow.comparison.front import forgetting_at
from keras_grow.comparison.front import loss_at
from keras_grow.comparison.intervals import interval
from keras_grow.comparison.intervals import ratio

BUDGETS = (1.0, 2.0, 5.0)
# A run may score some sets alone: `train.py --sets`.
NOT_SCORED = "not scored"
# Folder, name and the gains in loss that are looked at, of each task.
TASKS = {
    "captions": ("front", "English-French captions", (1.0, 1.1, 1.2)),
    "science": ("front_science", "science questions", (1.2, 1.3, 1.35)),
}


def _reading_table(data: Front, read: Any, goals: Any, unit: str) -> list[str]:
    lines = []
    for goal in goals:
        lines += [
            f"| {unit.format(goal)} | rate | bracketed | seeds | "
            "value [95 %] | over seeds | minus SFT of the same group and "
            "seeds [95 %] |",
            "|---|---|---|---|---|---|---|",
        ]
        rows = {m: data.value(m, read, goal) for m in data.runs}
        means = {m: _mean(seeds.values()) for m, (_, seeds) in rows.items()}
        order = sorted(rows, key=lambda m: np.nan_to_num(means[m][0], nan=1e9))
        for method in order:
            rate, seeds = rows[method]
            rival = "sft+anchor" if "+" in method else "sft"
            difference = "-"
            if method != rival:
                others = rows[rival][1]
                both = seeds.keys() & others.keys()
                own, other = (
                    _mean(found[seed] for seed in both)
                    for found in (seeds, others)
                )
                difference = _show(own[0] - other[0], own[1] - other[1], "+.3f")
            plain = [value for value, _ in seeds.values()]
            spread = (
                f"{min(plain):.3f} to {max(plain):.3f}"
                if len(plain) > 1
                else "one seed"
            )
            lines.append(
                f"| {method} | {rate:g} | {_neighbors(data, method, rate)} | "
                f"{len(plain)} | "
                f"{_show(*means[method])} | {spread} | {difference} |"
            )
        lines.append("")
    return lines


def _mean(found: Iterable[Any]) -> tuple[float, Any]:
    """The mean over seeds, of values and of what is resampled."""
    plain, drawn = zip(*found, strict=True)
    return float(np.mean(plain)), np.mean(drawn, axis=0)


def _neighbors(data: Front, method: str, rate: float) -> str:
    rates = [tried for tried, seed in data.runs[method] if seed == 0]
    if rate == min(rates):
        return "NO: lowest tried"
    return "NO: highest tried" if rate == max(rates) else "yes"


def _show(value: float, drawn: Any, form: str = ".3f") -> str:
    if np.isnan(value):
        return "not reached"
    if np.isnan(drawn).any():
        return f"{value:{form}} [not reached in some resamples]"
    found = interval(value, drawn)
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


def _gain(data: Front, run: Run, name: str, at: int, routes: Any = 1.0) -> str:
    """Points of accuracy that a set gains, where the routes lead to the run."""
    if f"{name}_right" not in run:
        return NOT_SCORED
    gain = routes * data.gain(run, name, at)
    return _show(*data.mean(gain, name), "+.1f")


def _whole_table(data: Front) -> list[str]:
    """Every score at share 1 and one half, best rate by the tuning loss."""
    lines = [
        "| method | share | validation loss | WikiText-2 perplexity, % | "
        "LAMBADA, points | WinoGrande, points | captions loss | "
        "KL per token, new inputs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in data.runs:
        run = data.best(method)[1]
        shares = run["meta"].get("shares", SHARES)
        for at, share in enumerate(shares):
            if share not in (0.5, 1.0):
                continue
            cells = []
            for name in ("validation", "wikitext"):
                plain, drawn = data.curve(run, name)
                cells.append(_show(plain[at + 1], drawn[:, at + 1], ".3f"))
            for name in ("lambada", "winogrande"):
                cells.append(_gain(data, run, name, at))
            if "captions_nll" in run:
                plain, drawn = data.curve(run, "captions")
                cells.append(_show(plain[at + 1], drawn[:, at + 1]))
            else:
                cells.append(NOT_SCORED)
            kl = run["validation_kl"][at]
            sizes = data.base["validation_tokens"]
            drawn = ratio(kl, sizes, data.draws["validation"])
            cells.append(_show(kl.sum() / sizes.sum(), drawn))
            lines.append(f"| {method} | {share:g} | {' | '.join(cells)} |")
    return lines


def _sweep_table(data: Front) -> list[str]:
    lines = [
        "| method | trains | lowest tuning loss over the shares, by rate | "
        "bracketed |",
        "|---|---|---|---|",
    ]
    for method, runs in data.runs.items():
        sweep = data.sweep(method)
        shown = ", ".join(f"{r:g}: {v:.3f}" for r, v in sorted(sweep.items()))
        meta = next(iter(runs.values()))["meta"]
        lines.append(
            f"| {method} | {meta['parameters'] / 1e6:.1f} M | {shown} | "
            f"{'yes' if bracketed(sweep) else 'NO'} |"
        )
    return lines


def _routed_table(data: Front) -> list[str]:
    """Scores with each row answered by the model its prompt is routed to."""
    lines = [
        "| method | rate | validation loss | WikiText-2 perplexity, % | "
        "LAMBADA, points | captions loss, change | loss minus routed SFT's |",
        "|---|---|---|---|---|---|---|",
    ]
    sft = data.routed(data.best("sft")[1], "validation")
    for method in data.runs:
        rate, run = data.best(method)
        plain, drawn = data.routed(run, "validation")
        cells = [
            _show(plain, drawn),
            _show(*data.routed(run, "wikitext"), "+.3f"),
            _gain(data, run, "lambada", -1, data.routes["lambada"]),
            _show(*data.routed(run, "captions", True), "+.4f")
            if "captions_nll" in run
            else NOT_SCORED,
            _show(plain - sft[0], drawn - sft[1], "+.3f"),
        ]
        lines.append(f"| {method} | {rate:g} | {' | '.join(cells)} |")
    return lines


def report(data: Front, title: str, gains: tuple[float, ...]) -> str:
    """The report in Markdown."""
    runs = [run for runs in data.runs.values() for run in runs.values()]
    meta = runs[0]["meta"]
    cards = Counter(run["meta"]["device"] for run in runs)
    where = ", ".join(
        f"{n} on one {'CPU' if card == 'cpu' else card}"
        for card, n in cards.items()
    )
    seconds = sum(
        run["meta"]["training_seconds"] + run["meta"]["scoring_seconds"]
        for run in runs
    )
    articles = len(np.unique(data.base["wikitext_article"]))
    return "\n".join(
        [
            f"# The front: {title} against forgetting",
            "",
            f"{len(runs)} runs of {meta['updates']} updates, {where}, JAX "
            f"{meta['jax']}, Keras {meta['keras']}; {seconds / 3600:.1f} hours "
            "of runs, seven to twelve at once on a GPU. Made from the rows "
            "beside it by `python examples/front/report.py`.",
            "",
            "Brackets are 95 % paired bootstrap intervals over examples (500 "
            "validation rows; 121 chunks of 256 tokens of WikiText-2, from "
            f"{articles} articles; 500 rows of LAMBADA and of WinoGrande), "
            f"{DRAWS} resamples, the same draws for every method. The seeds' "
            "spread is apart. Rates are chosen on 500 tuning rows that are "
            "neither trained on nor reported; forgetting is measured on the "
            "same text for that choice as for the report.",
            "",
            "## New skill at a forgetting of 1, 2 and 5 %",
            "",
            *_reading_table(
                data, loss_at, BUDGETS, "validation loss at {:g} %"
            ),
            "## Forgetting at equal new skill",
            "",
            *_reading_table(
                data,
                forgetting_at,
                gains,
                "forgetting, %, at a loss {:g} below the base's",
            ),
            "## With a router",
            "",
            "Each method at its best rate for the new task, all of its change "
            "kept, seed 0. A router on token embeddings, the same for all, "
            "sends each prompt to the trained model or to the base: "
            f"{_routes(data)}. Of a growth and of LoRA that is not merged the "
            "two are one model, of SFT two. Where rows go was written by "
            "`examples/front/routes.py`.",
            "",
            *_routed_table(data),
            "",
            "## Rates",
            "",
            "Bracketed by the tuning loss, forgetting aside. The tables above "
            "say for each budget whether the rate that is best there is.",
            "",
            *_sweep_table(data),
            "",
            "## Every score, best rate by tuning loss, seed 0",
            "",
            *_whole_table(data),
            "",
        ]
    )


def _routes(data: Front) -> str:
    """How many rows of each set go to the trained model."""
    return ", ".join(
        f"{int(reached.sum())} of {len(reached)} of {name}"
        for name, reached in data.routes.items()
    )


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--task", choices=TASKS, default="captions")
    arguments = parser.parse_args()
    name, title, gains = TASKS[arguments.task]
    folder = RESULTS / name
    if arguments.pack:
        pack(folder, arguments.pack, arguments.tokens)
    data = Front(folder)
    (folder / "report.md").write_text(report(data, title, gains), "utf-8")
    draw_fronts(data, title, folder / "front.png")
    draw_dials(data, title, folder / "dial.png")


if __name__ == "__main__":
    main()

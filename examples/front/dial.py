"""The dial against interpolation of the same weights.

    python examples/front/dial.py --gguf FILE --tokens FILE --runs FOLDER
    python examples/front/dial.py        # the report again, from the rows

A growth is trained once. Then a share of its change is kept in two ways: by
the dial, which mixes what each MLP gives, and by interpolation of the weights
that trained (WiSE-FT, arXiv 2109.01903). Both ends are the same model, so all
that differs is the way between them. A run is a file, which appears whole or
not at all. Without `--gguf` a tiny random model stands in.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import prepare
import scoring
import train
from token_rows import read_tokens
from token_rows import training_rows

from keras_grow import set_growths
from keras_grow.comparison.interpolation import between
from keras_grow.comparison.intervals import interval
from keras_grow.comparison.intervals import ratio
from keras_grow.comparison.intervals import resamples

FOLDER = Path(__file__).parents[1] / "results" / "front" / "dial"
RATES = {"g_freeze": 5e-5, "g_train": 4e-5}
SHARES = (0.25, 0.5, 0.75)
SETS = ("validation", "wikitext")
DRAWS = 1000


def interpolate(
    method: prepare.Trained, share: float, tuned: list[Any]
) -> None:
    """Weights between the start and the end, under a dial at 1."""
    set_growths(method.lm, prepare.GROWTH)
    for variable, old, new in zip(
        method.trained, method.start, tuned, strict=True
    ):
        variable.assign(between(old, new, share))


def run(name: str, arguments: argparse.Namespace) -> None:
    """Train one growth, score it both ways at each share, write the rows."""
    path = arguments.runs / f"{name}.npz"
    if path.is_file():
        return
    data = read_tokens(arguments.tokens, arguments.tiny_rows)
    lm = prepare.base(arguments.gguf)
    rows = training_rows(data)
    method = prepare.Trained(
        name, lm, arguments.updates, [], rows, data["anchor_ids"]
    )
    for key in SETS:
        limit = arguments.rows[key]
        for part in ("ids", "first", "length"):
            data[f"{key}_{part}"] = data[f"{key}_{part}"][:limit]
    scores = scoring.Scoring(lm, data, SETS)
    method.at(0.0, method.start)
    scores.keep_base()
    found = {"base": scores.run("base")}
    rate = RATES[name]
    method.reset(rate, 0)
    for start in range(0, arguments.updates, train.CURVE):
        stop = min(start + train.CURVE, arguments.updates)
        loss = method.train(train.BATCH, 0, start, stop)
        print(f"{name}: {stop} updates, loss {loss:.3f}", flush=True)
    tuned = [keras.ops.copy(v.value) for v in method.trained]
    found["whole"] = scores.run(method.state(1.0))
    for share in SHARES:
        method.at(share, tuned)
        found[f"dial-{share}"] = scores.run(method.state(share))
        interpolate(method, share, tuned)
        found[f"weights-{share}"] = scores.run(method.state(1.0))
        print(f"{name}: share {share} is scored", flush=True)
    arrays = {
        f"{way}/{key}": values
        for way, each in found.items()
        for key, values in each.items()
        if key.endswith("nll")
    }
    for key in SETS:
        sizes = data[f"{key}_length"] - data[f"{key}_first"]
        arrays[f"{key}_tokens"] = sizes.astype(np.int16)
    meta = {"rate": rate, "updates": arguments.updates}
    train.save(path, meta, arrays)


def report(folder: Path) -> str:
    """Both ways beside each other, their difference paired by rows."""
    lines = [
        "# The dial against interpolation of the same weights",
        "",
        "English-French captions, Gemma 3 270M in float32, one seed. "
        "Differences are dial minus weights, paired by rows, with 95 % "
        "bootstrap intervals.",
    ]
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            rows = {key: file[key] for key in file.files}
        meta = json.loads(str(rows.pop("meta")))
        sizes = {key: rows[f"{key}_tokens"] for key in SETS}
        lines += [
            "",
            f"## {path.stem}, {meta['updates']} updates at {meta['rate']:g}",
            "",
            f"{len(sizes['validation'])} rows of validation, "
            f"{int(sizes['wikitext'].sum()):,} tokens of WikiText-2.",
            "",
            "| share | loss, dial | weights | difference | "
            "perplexity, %, dial | weights | difference |",
            "|---|---|---|---|---|---|---|",
        ]
        for share in SHARES:
            cells = [f"{share:g}"]
            for key in SETS:
                cells += _cells(rows, sizes[key], key, share)
            lines.append("| " + " | ".join(cells) + " |")
        ends = [_plain(rows, sizes[key], key, "whole") for key in SETS]
        lines.append(f"| 1 | {ends[0]:.3f} | | | {ends[1]:+.2f} | | |")
    return "\n".join(lines) + "\n"


def _plain(rows: Any, sizes: Any, key: str, way: str) -> float:
    mean = rows[f"{way}/{key}_nll"].sum() / sizes.sum()
    if key == "validation":
        return float(mean)
    base = rows[f"base/{key}_nll"].sum() / sizes.sum()
    return float(100 * np.expm1(mean - base))


def _cells(rows: Any, sizes: Any, key: str, share: float) -> list[str]:
    ways = [f"{way}-{share}" for way in ("dial", "weights")]
    totals = np.stack([rows[f"{w}/{key}_nll"] for w in (*ways, "base")])
    drawn = ratio(totals, sizes, resamples(len(sizes), DRAWS, 0))
    values = drawn[:2]
    if key == "wikitext":
        values = 100 * np.expm1(drawn[:2] - drawn[2])
    digits = ".3f" if key == "validation" else "+.2f"
    plain = [_plain(rows, sizes, key, way) for way in ways]
    found = interval(plain[0] - plain[1], values[0] - values[1])
    return [
        *(f"{value:{digits}}" for value in plain),
        f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]",
    ]


def main() -> None:
    """Run what is missing, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*", default=list(RATES))
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--runs", type=Path, default=FOLDER)
    parser.add_argument("--updates", type=int, default=100)
    parser.add_argument("--validation-rows", type=int, default=250)
    parser.add_argument("--wikitext-rows", type=int, default=40)
    parser.add_argument("--tiny-rows", type=int, default=0)
    arguments = parser.parse_args()
    arguments.rows = {
        "validation": arguments.validation_rows,
        "wikitext": arguments.wikitext_rows,
    }
    arguments.runs.mkdir(parents=True, exist_ok=True)
    for name in arguments.methods if arguments.tokens else ():
        run(name, arguments)
    text = report(arguments.runs)
    (arguments.runs / "report.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()

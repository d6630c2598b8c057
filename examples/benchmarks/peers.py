"""Training, scoring and generation against what people use instead.

    pip install peft accelerate
    python examples/benchmarks/peers.py --output peers

The sides, each in a separate process, one after the other:

    train      an epoch of the same rows: KerasHub's `fit` (SFT and LoRA),
               transformers' `Trainer` (SFT, and PEFT's LoRA of all linear
               layers), and growth on each backend; the last two with batches
               of rows of like length
    score      WinoGrande and LAMBADA: lm-evaluation-harness on transformers
               against `keras_grow.evaluation.Scorer`
    generate   tokens per second, for one prompt and a batch of eight

Rows are written as they come. If it is interrupted, the same command resumes
it; sides that failed are run again. The first epoch, the
first scoring and the first generation compile, and are listed apart.
"""

import argparse
import json
from pathlib import Path

from machine import MARK
from machine import describe
from machine import run_alone

SIDES = {
    "train": [
        "kerashub_sft@jax",
        "kerashub_lora8@jax",
        "transformers_sft@torch",
        "peft_lora8@torch",
        "grow_last10@jax",
        "growup_last10@jax",
        "grow_all@jax",
        "grow_last10@torch",
        "growup_last10@torch",
        "grow_all@torch",
        "grow_last10@tensorflow",
        "grow_all@tensorflow",
    ],
    "score": ["lm_eval@torch", "scorer@jax", "scorer@torch"],
    "generate": [
        "transformers@torch",
        "kerashub@jax",
        "grow_last10@jax",
        "grow_all@jax",
    ],
}
# part, ours, theirs, figure, and what ours over theirs is to be
GOALS = [
    ("train", "grow_last10@jax", "peft_lora8@torch", "epoch_s", "at most 0.45"),
    ("train", "growup_last10@jax", "peft_lora8@torch", "epoch_s", ""),
    ("train", "grow_last10@torch", "peft_lora8@torch", "epoch_s", ""),
    ("train", "growup_last10@torch", "peft_lora8@torch", "epoch_s", ""),
    ("train", "grow_last10@jax", "kerashub_sft@jax", "epoch_s", ""),
    ("train", "grow_all@jax", "transformers_sft@torch", "epoch_s", ""),
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
        "processor_s": ("processor s", ".1f"),
        "first_epoch_s": ("first epoch s", ".1f"),
        "tokens_a_s": ("useful tokens/s", ".1f"),
        "padding": ("padding", ".0%"),
        "products_t": ("products, T", ".2f"),
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


def markdown(report):
    """The report for people."""
    lines = ["# Against the ecosystem", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    for note in report["notes"]:
        lines += ["", note]
    for part, columns in COLUMNS.items():
        sides = report["parts"].get(part, {})
        if not sides:
            continue
        names = [name for name, _ in columns.values()]
        lines += ["", f"## {part}", "", f"| | {' | '.join(names)} |"]
        lines += ["| --- |" + " ---: |" * len(columns)]
        for side, figures in sides.items():
            cells = [
                "" if figures.get(key) is None else format(figures[key], form)
                for key, (_, form) in columns.items()
            ]
            if "failed" in figures:
                cells[0] = figures["failed"]
            lines.append(f"| {side} | {' | '.join(cells)} |")
    lines += ["", "## ratios", "", "| | ratio | by products | goal |"]
    lines.append("| --- | ---: | ---: | --- |")
    for part, ours, theirs, figure, goal in GOALS:
        sides = report["parts"].get(part, {})
        both = [sides.get(side, {}) for side in (ours, theirs)]
        found = [
            _ratio(*(figures.get(name) for figures in both))
            for name in (figure, "products_t")
        ]
        if found[0]:
            name = f"{part}: {figure} of {ours} / {theirs}"
            lines.append(f"| {name} | {' | '.join(found)} | {goal} |")
    return "\n".join(lines) + "\n"


def _ratio(ours, theirs):
    return "" if None in (ours, theirs) else f"{ours / theirs:.2f}"


def _write(report, output):
    """Both files, the JSON whole or not at all."""
    part = output.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    part.replace(output.with_suffix(".json"))
    output.with_suffix(".md").write_text(markdown(report), "utf-8")


def _begun(output, settings):
    """The report to continue."""
    path = output.with_suffix(".json")
    if path.is_file():
        report = json.loads(path.read_text("utf-8"))
        if report["settings"] == settings:
            return report
    return {"machine": describe(), "settings": settings, "notes": []} | {
        "parts": {part: {} for part in SIDES}
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=SIDES, default=[*SIDES])
    parser.add_argument("--sides", nargs="+", help="these alone, of the parts")
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument(
        "--data", default="gettext_en_fr", help="see keras_grow.tasks.load_task"
    )
    parser.add_argument("--rows", type=int, default=512, help="of training")
    parser.add_argument("--epochs", type=int, default=2, help="the last counts")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scored", type=int, default=500, help="rows of each")
    parser.add_argument("--new", type=int, default=64, help="tokens to write")
    parser.add_argument("--folder", default="runs/peers", help="for the model")
    parser.add_argument("--note", action="append", help="to stand in the table")
    parser.add_argument("--output", default="peers", help="without an ending")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        import peers_sides

        print(MARK + json.dumps(peers_sides.measure(arguments)))
        return
    names = ("model", "data", "rows", "epochs", "batch", "scored", "new")
    settings = {name: getattr(arguments, name) for name in names}
    options = [x for k, v in settings.items() for x in (f"--{k}", str(v))]
    options += ["--folder", arguments.folder]
    output = Path(arguments.output)
    report = _begun(output, settings)
    report["notes"] = arguments.note or report["notes"]
    export = ["--part", "export", "--one", "transformers", *options]
    print("export", run_alone(__file__, export, "jax"), flush=True)
    for part in arguments.parts:
        done = report["parts"][part]
        for side in SIDES[part]:
            if arguments.sides and side not in arguments.sides:
                continue
            if "failed" in done.get(side, {"failed": "not run"}):
                command = ["--part", part, "--one", side, *options]
                backend = side.rpartition("@")[2]
                done[side] = run_alone(__file__, command, backend)
                print(part, side, done[side], flush=True)
                _write(report, output)
    _write(report, output)
    print(markdown(report))


if __name__ == "__main__":
    main()

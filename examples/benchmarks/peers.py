"""Training, scoring and generation against what people use instead.

    pip install peft accelerate
    python examples/benchmarks/peers.py --output peers

The sides, each in a separate process:

    train      an epoch of the same rows: KerasHub's `fit` (SFT and LoRA),
               transformers' `Trainer` (SFT, and PEFT's LoRA of all linear
               layers), and growth on each backend; the last two with batches
               of rows of like length. `_top`: the top alone, its lower
               states kept (`LowerStates`), as from the second epoch on
    score      WinoGrande and LAMBADA: lm-evaluation-harness on transformers
               against `keras_grow.evaluation.Scorer`
    generate   tokens per second, for one prompt and a batch of eight

A training side and PEFT's LoRA take turns, a part of the epoch each, since the
speed of a machine may change within minutes; so PEFT's epoch is measured again
beside every side. Of scoring and generation one side runs after the other. The
first updates and calls, which compile, are not in the seconds, and are listed
apart.

Rows are written as they come. If it is interrupted, the same command resumes
it; sides that failed are run again.
"""

import argparse
import json
from pathlib import Path

from machine import MARK
from machine import describe
from machine import in_turns
from machine import run_alone
from machine import start_alone
from peers_table import PEFT
from peers_table import markdown

SIDES = {
    "train": [
        "grow_last10@jax",
        "growup_last10@jax",
        "growup_last10_top@jax",
        "grow_last10@torch",
        "growup_last10@torch",
        "growup_last10_top@torch",
        "grow_last10@tensorflow",
        "grow_all@jax",
        "grow_all@torch",
        "grow_all@tensorflow",
        "transformers_sft@torch",
        "kerashub_lora8@jax",
        "kerashub_sft@jax",
    ],
    "score": ["lm_eval@torch", "scorer@jax", "scorer@torch"],
    "generate": [
        "transformers@torch",
        "kerashub@jax",
        "grow_last10@jax",
        "grow_all@jax",
    ],
}


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


def _measured(part, side, options):
    """The figures of a side; of training, with those of PEFT beside it."""

    def command(side):
        return ["--part", part, "--one", side, *options]

    def backend(side):
        return side.rpartition("@")[2]

    if part != "train":
        return run_alone(__file__, command(side), backend(side))
    figures, beside = in_turns(
        [
            start_alone(__file__, command(each), backend(each))
            for each in (side, PEFT)
        ]
    )
    return {**figures, "beside": beside}


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
    parser.add_argument(
        "--turns", type=int, default=32, help="parts of an epoch"
    )
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
    names = ("model", "data", "rows", "turns", "batch", "scored", "new")
    settings = {name: getattr(arguments, name) for name in names}
    options = [x for k, v in settings.items() for x in (f"--{k}", str(v))]
    options += ["--folder", arguments.folder]
    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
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
                done[side] = _measured(part, side, options)
                print(part, side, done[side], flush=True)
                _write(report, output)
    _write(report, output)
    print(markdown(report))


if __name__ == "__main__":
    main()

"""Tokens a second of a grown model against plain ones of the same widths.

    python examples/benchmarks/generation.py --output generation

Each side runs in a separate process, round after round; a side's time is its
fastest of all rounds. Greedy, with a cache, from prompts of random tokens.

    plain     a KerasHub model whose MLPs are twice as wide
    grown     the model with every MLP grown to that width
    merged    `merge_growth` of it
    base      the model before growing
    switched  the grown model with growth off
"""

import argparse
import json
import time
from math import nan
from pathlib import Path

from machine import MARK
from machine import describe
from machine import run_alone

SIDES = ["plain", "grown", "merged", "base", "switched"]
GOALS = [("grown", "plain", 0.8), ("merged", "plain", 0.97)]


def measure(arguments):
    """Tokens a second of one side, and the seconds of its first call."""
    import contextlib

    import keras
    import keras_hub
    import numpy as np
    from methods import SHAPES

    import keras_grow

    keras.utils.set_random_seed(0)
    shape = dict(SHAPES[arguments.model])
    if arguments.one == "plain":
        shape["intermediate_dim"] *= 2
    lm = keras_hub.models.Gemma3CausalLM(
        backbone=keras_hub.models.Gemma3Backbone(
            **shape, dtype=arguments.dtype
        ),
        preprocessor=None,
    )
    if arguments.one in ("grown", "merged", "switched"):
        keras_grow.grow_model(lm)
    if arguments.one == "merged":
        lm = keras_grow.merge_growth(lm)
    lm.compile(sampler="greedy")
    rng = np.random.default_rng(0)
    rows, length = arguments.rows, arguments.prompt + arguments.new
    batch = {
        "token_ids": rng.integers(4, shape["vocabulary_size"], (rows, length)),
        "padding_mask": np.arange(length) < arguments.prompt,
    }
    batch["token_ids"] = batch["token_ids"].astype("int32")
    batch["padding_mask"] = np.tile(batch["padding_mask"], (rows, 1))
    batch = {k: keras.ops.convert_to_tensor(v) for k, v in batch.items()}
    off = arguments.one == "switched"
    switch = keras_grow.growth_disabled(lm) if off else contextlib.nullcontext()
    seconds = []
    with switch:
        for _ in range(arguments.times + 1):
            start = time.perf_counter()
            # What `generate` compiles and calls, without its text.
            made = lm.make_generate_function()(batch, stop_token_ids=None)
            keras.ops.convert_to_numpy(made["token_ids"])
            seconds.append(time.perf_counter() - start)
    return {
        "tokens_a_second": rows * arguments.new / min(seconds[1:]),
        "first_call_s": seconds[0],
        "seconds": seconds[1:],
    }


def markdown(report):
    """The report for people."""
    lines = ["# Generation", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    for backend, run in report["backends"].items():
        lines += ["", f"## {backend}", ""]
        lines += ["| | tokens a second | of plain's | first call s |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        for side, figures in run["sides"].items():
            if "failed" in figures:
                lines.append(f"| {side} | {figures['failed']} | | |")
                continue
            speed = figures["tokens_a_second"]
            ratio = speed / run["sides"]["plain"].get("tokens_a_second", nan)
            lines.append(
                f"| {side} | {speed:.1f} | {ratio:.3f} | "
                f"{figures['first_call_s']:.1f} |"
            )
        for goal in run["goals"]:
            lines += ["", "{ours} / {theirs}: {ratio:.3f}".format(**goal)]
            lines[-1] += f", at least {goal['at_least']}"
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backends", nargs="+", default=["jax"])
    parser.add_argument("--model", default="270m", help="270m, 1b or tiny")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=32, help="tokens")
    parser.add_argument("--new", type=int, default=64, help="tokens")
    parser.add_argument("--times", type=int, default=3, help="a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--output", default="generation")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(MARK + json.dumps(measure(arguments)))
        return
    names = ("model", "dtype", "rows", "prompt", "new", "times")
    settings = {name: getattr(arguments, name) for name in names}
    options = [x for k, v in settings.items() for x in (f"--{k}", str(v))]
    report = {"machine": describe(), "settings": settings, "backends": {}}
    for backend in arguments.backends:
        rounds = {side: [] for side in SIDES}
        for _ in range(arguments.rounds):
            for side, results in rounds.items():
                command = ["--one", side, *options]
                results.append(
                    run_alone(__file__, command, backend, arguments.device)
                )
                print(backend, side, results[-1], flush=True)
        sides = {
            side: max(results, key=lambda r: r.get("tokens_a_second", 0))
            for side, results in rounds.items()
        }
        goals = [
            {
                "ours": ours,
                "theirs": theirs,
                "ratio": sides[ours].get("tokens_a_second", nan)
                / sides[theirs].get("tokens_a_second", nan),
                "at_least": limit,
            }
            for ours, theirs, limit in GOALS
        ]
        run = {"sides": sides, "rounds": rounds, "goals": goals}
        report["backends"][backend] = run
        output = Path(arguments.output)
        output.with_suffix(".json").write_text(json.dumps(report, indent=1))
        output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()

"""What a training step costs, growth against what a Keras user has today.

    python examples/benchmarks/step.py --output step

runs KerasHub's SFT `fit`, KerasHub's LoRA, growth under a gradient mask and
keras_grow on the same batch, and writes `step.json` and `step.md`: seconds a
step, peak memory, seconds to compile, bytes of training state, and ratios.

Each case (see `methods.py`) runs in a separate process, so its peak memory is
its own. Every round runs all cases one after the other, and a case's time is
its fastest step of all rounds: what else the machine does can only make a step
slower. The median stands beside it, and the processor's seconds of all threads,
which a busy machine disturbs less. Peak memory is of training, after the model
is loaded: the process' resident set on a CPU, the device's on a GPU.

On a GPU (not measured by the authors; nothing in it depends on the card):

    python examples/benchmarks/step.py --device gpu --model 270m 1b \
        --dtype bfloat16 --tokens 8x512 --peak-tflops 989 --output gpu
"""

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

from machine import MARK
from machine import describe
from machine import device_gb
from machine import forget_peak
from machine import resident_gb
from machine import run_alone

CASES = [
    "sft@fit",
    "sft@response",
    "lora8@fit",
    "lora8@response",
    "mask_all@response",
    "mask_last10@response",
    "grow_all@response",
    "grow_last10@response",
    "grow_spread10@response",
]
# ours, theirs, figure, at most
GOALS = [
    ("grow_last10@response", "sft@fit", "step_s", 0.33),
    ("grow_all@response", "sft@fit", "step_s", 0.55),
    ("grow_last10@response", "sft@fit", "peak_gb", 0.52),
    ("grow_all@response", "sft@fit", "peak_gb", 0.60),
    ("grow_last10@response", "mask_last10@response", "step_s", 0.85),
    ("grow_all@response", "mask_all@response", "step_s", 0.85),
    ("grow_last10@response", "lora8@response", "step_s", 1.10),
]
# On other backends than JAX the ratios may be so much larger.
SLACK = 1.15
# Bytes of training state, over those of the formula.
STATE = 1.02


def measure(arguments):
    """Train one case in this process; figures as plain values."""
    import keras
    import numpy as np
    from methods import Case
    from methods import make_model

    import keras_grow

    keras.utils.set_random_seed(0)
    case = Case.parse(arguments.one)
    lm = make_model(case, arguments.model[0], arguments.dtype)
    (rows, length), parts = _tokens(arguments.tokens[0]), case.accumulate
    supervised = round(float(arguments.supervised[0]) * length)
    steps = arguments.steps + 2
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, lm.backbone.vocabulary_size, (rows, length))
    weights = np.zeros((rows, length), "float32")
    start = (length - supervised) // 2
    weights[:, start : start + supervised] = 1.0

    def repeated(array):
        return np.tile(array, (steps, 1))

    stamps, processor, losses = [], [], []

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.stamp()

        def stamp(self):
            stamps.append(time.perf_counter())
            processor.append(time.process_time())

        def on_train_batch_end(self, batch, logs=None):
            # Reading the loss waits for the device.
            losses.append(float(logs["loss"]))
            if (batch + 1) % parts == 0:
                self.stamp()

    forget_peak()
    loaded = resident_gb()
    lm.fit(
        {
            "token_ids": repeated(tokens).astype("int32"),
            "padding_mask": repeated(np.ones((rows, length), bool)),
        },
        repeated(np.roll(tokens, -1, axis=1)).astype("int32"),
        sample_weight=repeated(weights),
        batch_size=rows // parts,
        shuffle=False,
        verbose=0,
        callbacks=[Clock()],
    )
    first, _, *seconds = [b - a for a, b in itertools.pairwise(stamps)]
    state = [*lm.variables, *lm.trainable_variables, *lm.optimizer.variables]
    from keras_grow.growth.costs import variable_bytes

    result = {
        "steps_s": seconds,
        "cpu_s": [b - a for a, b in itertools.pairwise(processor)][2:],
        "first_step_s": first,
        "loaded_gb": loaded,
        "host_peak_gb": resident_gb(peak=True),
        "state_gb": sum(variable_bytes(v) for v in state) / 1e9,
        "losses": [losses[0], losses[-1]],
        "device_peak_gb": device_gb(keras.config.backend()),
    }
    if case.method.startswith("grow"):
        report = keras_grow.growth_report(lm, length)
        result["formula_state_gb"] = report.training_bytes / 1e9
    result["formula_flops"] = _flops(lm, case, rows, length, supervised)
    return result


def _flops(lm, case, rows, length, supervised):
    """Operations of a step by the formulas of `growth.costs`, or None."""
    from keras_grow.growth import costs
    from keras_grow.growth.families import family_of
    from keras_grow.growth.state import growths_of

    share = supervised / length if case.path == "response" else 1.0
    if not case.method.startswith(("sft", "grow")):
        return None
    shape = costs.ModelShape.of(lm.backbone, family_of(lm.backbone))
    growths = growths_of(lm)
    token = (
        costs.growth_step_flops(shape, growths, length, share)
        if growths
        else costs.sft_step_flops(shape, length, share)
    )
    return token * rows * length


def run_case(case, backend, model, tokens, supervised, arguments):
    """`measure` in a separate process."""
    command = ["--one", case, "--model", model, "--tokens", tokens]
    command += ["--supervised", supervised, "--dtype", arguments.dtype]
    command += ["--steps", str(arguments.steps)]
    return run_alone(__file__, command, backend, arguments.device)


def summarize(rounds, device, peak_tflops):
    """The figures of one case over all its rounds."""
    failed = [r for r in rounds if "failed" in r]
    if failed:
        return failed[0]
    steps = [second for r in rounds for second in r["steps_s"]]
    last = rounds[-1]
    peak = "device_peak_gb" if device == "gpu" else "host_peak_gb"
    summary = {
        "step_s": min(steps),
        "median_step_s": statistics.median(steps),
        "cpu_s": min(second for r in rounds for second in r["cpu_s"]),
        "compile_s": min(r["first_step_s"] for r in rounds) - min(steps),
        "peak_gb": min(r[peak] for r in rounds),
        **{k: last[k] for k in ("loaded_gb", "state_gb", "losses")},
        "formula_state_gb": last.get("formula_state_gb"),
        "formula_flops": last["formula_flops"],
        "rounds": rounds,
    }
    if last["formula_flops"]:
        rate = last["formula_flops"] / min(steps) / 1e12
        summary["tflops_a_second"] = rate
        if peak_tflops:
            summary["share_of_peak"] = rate / peak_tflops
    return summary


def goals(cases, backend):
    """Every ratio that has a goal, with both of its sides in `cases`."""
    slack = 1.0 if backend == "jax" else SLACK
    rows = []
    for ours, theirs, figure, limit in GOALS:
        sides = [cases.get(name, {}).get(figure) for name in (ours, theirs)]
        if None not in sides:
            ratio = sides[0] / sides[1]
            row = {"ours": ours, "theirs": theirs, "figure": figure}
            rows.append(row | {"ratio": ratio, "at_most": limit * slack})
    for name, case in cases.items():
        formula = case.get("formula_state_gb")
        if formula:
            row = {"ours": name, "theirs": "the formula", "figure": "state_gb"}
            ratio = case["state_gb"] / formula
            rows.append(row | {"ratio": ratio, "at_most": STATE})
    return rows


def markdown(report):
    """The report for people."""
    lines = ["# Cost of a training step", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    lines += ["", "`step s` is the fastest step, with the median beside it."]
    lines += ["FLOPs are those of the formulas of `growth_report`."]
    for run in report["runs"]:
        base = run["cases"].get("sft@fit", {})
        lines += [
            "",
            f"## {run['model']}, {run['backend']}, {run['tokens']} tokens, "
            f"{run['supervised']} of them supervised",
            "",
            "| case | step s | of SFT's | FLOPs, of SFT's | median s | "
            "processor s | of SFT's | peak GB | of SFT's | compile s | "
            "state GB | share of peak |",
            "| --- | " + "---: | " * 11,
        ]
        for name, case in run["cases"].items():
            if "failed" in case:
                lines.append(f"| {name} | {case['failed']} |" + " |" * 10)
                continue
            share = case.get("share_of_peak")
            cells = [
                f"{case['step_s']:.3f}",
                _ratio(case, base, "step_s"),
                _ratio(case, base, "formula_flops"),
                f"{case['median_step_s']:.3f}",
                f"{case['cpu_s']:.3f}",
                _ratio(case, base, "cpu_s"),
                f"{case['peak_gb']:.2f}",
                _ratio(case, base, "peak_gb"),
                f"{case['compile_s']:.1f}",
                f"{case['state_gb']:.3f}",
                f"{share:.1%}" if share else "",
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if run["goals"]:
            lines += ["", "| ratio | | goal |", "| --- | ---: | ---: |"]
        for goal in run["goals"]:
            lines.append(
                f"| {goal['figure']} of {goal['ours']} / {goal['theirs']} | "
                f"{goal['ratio']:.3f} | {goal['at_most']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def _ratio(case, base, figure):
    both = case.get(figure) and base.get(figure)
    return f"{case[figure] / base[figure]:.3f}" if both else ""


def _tokens(text):
    rows, _, length = text.partition("x")
    return int(rows), int(length)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--backends", nargs="+", default=["jax"])
    parser.add_argument(
        "--model",
        nargs="+",
        default=["gemma3_270m_pip"],
        help="real weights by name, or random ones: 270m, 1b, tiny",
    )
    parser.add_argument("--tokens", nargs="+", default=["8x64"])
    parser.add_argument(
        "--supervised", nargs="+", default=["0.125"], help="share of positions"
    )
    parser.add_argument("--steps", type=int, default=5, help="timed, a round")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument(
        "--peak-tflops", type=float, help="the card's peak in that dtype"
    )
    parser.add_argument("--output", default="step", help="without an ending")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(MARK + json.dumps(measure(arguments)))
        return

    settings = {
        k: getattr(arguments, k)
        for k in ("steps", "rounds", "dtype", "device", "peak_tflops")
    }
    report = {"machine": describe(), "settings": settings, "runs": []}
    output = Path(arguments.output)
    for model, backend, tokens, supervised in itertools.product(
        arguments.model,
        arguments.backends,
        arguments.tokens,
        arguments.supervised,
    ):
        setup = (backend, model, tokens, supervised)
        rounds = {case: [] for case in arguments.cases}
        for number in range(arguments.rounds):
            for case, results in rounds.items():
                results.append(run_case(case, *setup, arguments))
                print(number, *setup, case, results[-1], flush=True)
        cases = {
            case: summarize(results, arguments.device, arguments.peak_tflops)
            for case, results in rounds.items()
        }
        run = {"backend": backend, "model": model, "tokens": tokens}
        run |= {"supervised": float(supervised), "cases": cases}
        report["runs"].append({**run, "goals": goals(cases, backend)})
        # After every run, so that a long job that is stopped leaves them.
        output.with_suffix(".json").write_text(json.dumps(report, indent=1))
        output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()

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
is loaded: the process' resident set on a CPU, the device's on a GPU. The files
are written after every case.

Token ids go in, so Keras' own `fit` is called: KerasHub's adds to it the text
pipeline alone, which needs TensorFlow or grain.

With random weights (`--model 270m`, `1b`, `tiny`) there are also the cases
`transformers_sft` and `peft_lora8`, see `step_transformers.py`: the same shapes
on torch without Keras. The table says in which dtypes the trained weights and
their moments are kept on each side.

On a GPU (nothing in it depends on the card) `--together` loads the cases of a
round side by side, then trains one after the other while the others wait:

    python examples/benchmarks/step.py --device gpu --model 270m 1b \
        --dtype bfloat16 --tokens 8x512 --peak-tflops 989 --rounds 1 \
        --together --output gpu --cases sft@fit grow_last10@response \
        transformers_sft peft_lora8
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

import step_report
import step_transformers
from machine import MARK
from machine import await_turn
from machine import describe
from machine import device_gb
from machine import device_name
from machine import forget_peak
from machine import resident_gb
from machine import result_of
from machine import start_alone
from machine import until_loaded

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


def measure(arguments, batch):
    """Train one case in this process; figures as plain values."""
    import keras
    import numpy as np
    from methods import Case
    from methods import make_model

    import keras_grow

    keras.utils.set_random_seed(0)
    case = Case.parse(arguments.one)
    if arguments.plain_attention:
        keras.config.disable_flash_attention()
    lm = make_model(case, arguments.model[0], arguments.dtype)
    tokens, supervised = batch(lm.backbone.vocabulary_size)
    (rows, length), parts = tokens.shape, case.accumulate
    steps = arguments.steps + 2
    weights = np.zeros((rows, length), "float32")
    weights[:, supervised] = 1.0

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

    await_turn()
    forget_peak()
    loaded = resident_gb()
    keras.Model.fit(
        lm,
        {
            "token_ids": repeated(tokens),
            "padding_mask": repeated(np.ones((rows, length), bool)),
        },
        repeated(np.roll(tokens, -1, axis=1)),
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
        "device": device_name(keras.config.backend()),
        "trained_in": _dtypes(lm.trainable_variables),
        "moments_in": _dtypes(
            v
            for v in lm.optimizer.variables
            if v.shape and keras.backend.is_float_dtype(v.dtype)
        ),
        "parameters": lm.backbone.count_params(),
    }
    if case.method.startswith("grow"):
        report = keras_grow.growth_report(lm, length)
        result["formula_state_gb"] = report.training_bytes / 1e9
    result["formula_flops"] = _flops(
        lm, case, rows, length, supervised.stop - supervised.start
    )
    return result


def _dtypes(variables):
    return sorted({str(v.dtype) for v in variables})


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


def batch_of(tokens, supervised):
    """A function of the vocabulary's size: token ids, supervised positions."""
    import numpy as np

    rows, _, length = tokens.partition("x")
    rows, length = int(rows), int(length)
    count = round(float(supervised) * length)
    start = (length - count) // 2

    def batch(vocabulary):
        ids = np.random.default_rng(0).integers(4, vocabulary, (rows, length))
        return ids.astype("int32"), slice(start, start + count)

    return batch


def start_case(case, backend, model, tokens, supervised, arguments):
    """`measure` in a separate process."""
    command = ["--one", case, "--model", model, "--tokens", tokens]
    command += ["--supervised", supervised, "--dtype", arguments.dtype]
    command += ["--steps", str(arguments.steps), "--device", arguments.device]
    if arguments.plain_attention:
        command.append("--plain-attention")
    return start_alone(__file__, command, backend, arguments.device)


def run_one(arguments):
    """What a separate process does."""
    batch = batch_of(arguments.tokens[0], arguments.supervised[0])
    theirs = arguments.one in step_transformers.CASES
    library = "torch" if theirs else os.environ["KERAS_BACKEND"]
    if arguments.device == "gpu" and device_gb(library) is None:
        raise SystemExit(f"Expected a GPU that {library} sees. Received none.")
    if theirs:
        return step_transformers.measure(arguments, batch)
    return measure(arguments, batch)


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
    parser.add_argument(
        "--together", action="store_true", help="load a round's cases at once"
    )
    parser.add_argument(
        "--plain-attention",
        action="store_true",
        help="without Keras' fused attention",
    )
    parser.add_argument("--output", default="step", help="without an ending")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(MARK + json.dumps(run_one(arguments)))
        return

    settings = {
        k: getattr(arguments, k)
        for k in ("steps", "rounds", "dtype", "device", "peak_tflops")
    }
    settings["cases loaded"] = "together" if arguments.together else "alone"
    report = {"machine": describe(), "settings": settings, "runs": []}
    for model, backend, tokens, supervised in itertools.product(
        arguments.model,
        arguments.backends,
        arguments.tokens,
        arguments.supervised,
    ):
        run = {"backend": backend, "model": model, "tokens": tokens}
        run |= {"supervised": float(supervised), "cases": {}, "goals": []}
        report["runs"].append(run)
        setup = (backend, model, tokens, supervised)
        for rounds in results_of(setup, arguments):
            run["cases"] = step_report.summarize_all(
                rounds, arguments.device, arguments.peak_tflops
            )
            run["goals"] = step_report.goals(run["cases"], backend)
            # So that a long job that is stopped leaves them.
            step_report.write(report, Path(arguments.output))
    print(step_report.markdown(report))


def results_of(setup, arguments):
    """Run every case in every round; after each, the results so far."""
    rounds = {}
    for number in range(arguments.rounds):
        groups = [[case] for case in arguments.cases]
        for group in [arguments.cases] if arguments.together else groups:
            started = {
                case: start_case(case, *setup, arguments) for case in group
            }
            for process in started.values():
                until_loaded(process)
            for case, process in started.items():
                result = result_of(process)
                print(number, *setup, case, result, flush=True)
                rounds.setdefault(case, []).append(result)
                yield rounds


if __name__ == "__main__":
    main()

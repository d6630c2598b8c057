"""Step time and memory of KerasHub's `fit`, with and without all its logits.

Each side runs in a process of its own, one after the other, on the same batch:
a model of Gemma 3 270M's shape with random weights.

    KERAS_BACKEND=jax python examples/benchmarks/response_only.py \
        --method sft --supervised 8 32 --output response_only.json
"""

import argparse
import itertools
import json
import platform
import resource
import statistics
import subprocess
import sys
import time

ROWS, LENGTH = 8, 64
GEMMA3_270M = dict(
    vocabulary_size=262144,
    image_size=896,
    num_layers=18,
    num_query_heads=4,
    num_key_value_heads=1,
    hidden_dim=640,
    intermediate_dim=2048,
    head_dim=256,
    use_query_key_norm=True,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
    use_sliding_window_attention=True,
    sliding_window_size=512,
)


def measure(side, method, supervised, steps, dtype):
    """Seconds of each step and the peak memory of this process."""
    import keras
    import keras_hub
    import numpy as np

    import keras_grow

    keras.utils.set_random_seed(0)
    lm = keras_hub.models.Gemma3CausalLM(
        backbone=keras_hub.models.Gemma3Backbone(**GEMMA3_270M, dtype=dtype),
        preprocessor=None,
    )
    if method == "lora":
        lm.backbone.enable_lora(8)
    elif method != "sft":
        keras_grow.grow_model(lm, layers=int(method.removeprefix("grow")))
    lm.compile(optimizer=keras.optimizers.Adam(1e-5))
    if side == "response_only":
        from keras_grow.training import response_only

        response_only(lm)

    rng = np.random.default_rng(0)
    tokens = rng.integers(4, GEMMA3_270M["vocabulary_size"], (ROWS, LENGTH))
    x = {
        "token_ids": tokens.astype("int32"),
        "padding_mask": np.ones_like(tokens, dtype=bool),
    }
    weights = np.zeros((ROWS, LENGTH), "float32")
    weights[:, LENGTH // 4 : LENGTH // 4 + supervised] = 1.0
    y = np.roll(tokens, -1, axis=1).astype("int32")

    stamps, losses = [time.perf_counter()], []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            # Reading the loss waits for the device.
            losses.append(float(logs["loss"]))
            stamps.append(time.perf_counter())

    # Every epoch is one step on the same batch.
    lm.fit(
        x,
        y,
        sample_weight=weights,
        batch_size=ROWS,
        epochs=steps + 2,
        verbose=0,
        callbacks=[Clock()],
    )
    seconds = [b - a for a, b in itertools.pairwise(stamps)]
    result = {
        "first_step_s": seconds[0],
        "step_s": statistics.median(seconds[2:]),
        "steps_s": seconds[2:],
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }
    if keras.config.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats()
        if stats:
            result["device_peak_gb"] = stats["peak_bytes_in_use"] / 2**30
    if keras.config.backend() == "torch":
        import torch

        if torch.cuda.is_available():
            peak = torch.cuda.max_memory_allocated()
            result["device_peak_gb"] = peak / 2**30
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", default="sft", help="sft, lora or grow10")
    parser.add_argument("--supervised", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--output", help="a JSON file to write")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        (supervised,) = args.supervised
        result = measure(
            args.side, args.method, supervised, args.steps, args.dtype
        )
        print("RESULT " + json.dumps(result))
        return

    import keras

    report = {
        "backend": keras.config.backend(),
        "keras": keras.__version__,
        "machine": f"{platform.machine()} {platform.system()}",
        "method": args.method,
        "dtype": args.dtype,
        "tokens": [ROWS, LENGTH],
        "runs": [],
    }
    for supervised in args.supervised:
        sides = {}
        for side in ("keras_hub", "response_only"):
            command = [sys.executable, __file__, "--side", side]
            command += ["--method", args.method, "--dtype", args.dtype]
            command += ["--supervised", str(supervised)]
            command += ["--steps", str(args.steps)]
            output = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            line = output[output.index("RESULT ") :].splitlines()[0]
            sides[side] = json.loads(line.removeprefix("RESULT "))
            print(supervised, side, sides[side], flush=True)
        ours, theirs = sides["response_only"], sides["keras_hub"]
        ratios = {k: ours[k] / theirs[k] for k in ("step_s", "peak_gb")}
        print(f"{supervised} of {LENGTH} supervised, ours / KerasHub: {ratios}")
        report["runs"].append(
            {"supervised_a_row": supervised, **sides, "ratios": ratios}
        )
    if args.output:
        with open(args.output, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()

"""What a step costs without the blocks below what trains.

    python examples/benchmarks/lower_states.py --output lower_states

The last 4 and the last 10 blocks of a model are grown. A step of the whole
model and one of the top alone, on the same rows with their kept states
(`LowerStates`), take turns in one process, so that whatever else the machine
does slows both. The batches: random tokens, 8 rows of 64 with the loss on 8
of each, as in `step.py`; and real rows in `LengthBuckets`. Writes
`lower_states.json` and `lower_states.md`.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from machine import MARK
from machine import describe
from machine import resident_gb
from machine import run_alone
from real_rows import FOLDER
from real_rows import SETS
from real_rows import encoded

# Blocks, and the most of the whole model's step that the top's may take.
GOALS = {4: 0.6, 10: 0.85}
# The first steps after a model is made find its memory cold.
WARM_UP = 4


def measure(arguments):
    """One number of blocks, in this process."""
    import keras

    import keras_grow

    keras.utils.set_random_seed(0)
    lm = keras_grow.load_causal_lm(arguments.model)
    tokenizer, lm.preprocessor = lm.preprocessor.tokenizer, None
    keras_grow.grow_model(lm, layers=int(arguments.one))
    _compile(lm)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        batches = {"random": (*_random_batch(lm), 64)}
        for name in arguments.sets:
            rows = encoded(name, tokenizer, arguments.data, work)
            batches[name] = _some(rows, arguments.rows)
        results = {}
        for name, batch in batches.items():
            results[name] = _take_turns(lm, batch, work, arguments)
        return {"blocks": int(arguments.one), "batches": results}


def _compile(model):
    import keras

    import keras_grow

    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-5),
    )
    keras_grow.supervised_logits(model)


def _random_batch(lm):
    """Rows of 64 random tokens, with the loss on the middle 8."""
    import numpy as np

    rng = np.random.default_rng(0)
    tokens = rng.integers(4, lm.backbone.vocabulary_size, (8, 64))
    weights = np.zeros((8, 64), "float32")
    weights[:, 28:36] = 1.0
    x = {"token_ids": tokens.astype("int32"), "padding_mask": tokens > 0}
    return x, np.roll(x["token_ids"], -1, axis=1), weights


def _some(rows, count):
    """The first rows of a set, and the most common length of its buckets."""
    from keras_grow import LengthBuckets

    data = LengthBuckets(*rows, batch_size=8)
    lengths = [data.batch(index)[1].shape[1] for index in range(len(data))]
    length = statistics.mode(lengths)
    members = [
        row
        for index, size in enumerate(lengths)
        if size == length
        for row in data.rows(index)
    ][:count]
    x, y, weights = rows
    x = {name: array[members] for name, array in x.items()}
    return x, y[members], weights[members], length


def _take_turns(lm, batch, work, arguments):
    """Steps of the whole model and of the top on the same rows."""
    from keras_grow import LengthBuckets
    from keras_grow import LowerStates

    *arrays, length = batch
    x = arrays[0]
    states = LowerStates(lm, x, work)
    begin = time.perf_counter()
    states.write()
    passed = time.perf_counter() - begin
    top = states.top()
    _compile(top)
    sides = {
        name: (
            model,
            LengthBuckets(inputs, *arrays[1:], batch_size=8, lengths=[length]),
        )
        for name, model, inputs in (("whole", lm, x), ("top", top, states.x))
    }
    steps = {name: [] for name in sides}
    processor = {name: [] for name in sides}
    count = len(sides["top"][1])
    for number in range(WARM_UP + arguments.steps):
        for name, (model, data) in sides.items():
            inputs, y, weights = data.batch(number % count)
            begin = time.perf_counter(), time.process_time()
            loss = model.train_on_batch(inputs, y, sample_weight=weights)
            float(loss[0] if isinstance(loss, list) else loss)
            if number >= WARM_UP:
                steps[name].append(time.perf_counter() - begin[0])
                processor[name].append(time.process_time() - begin[1])
    supervised = sum(
        float((sides["top"][1].batch(index)[2] != 0).mean())
        for index in range(count)
    )
    before = resident_gb()
    with states.below_on_disk():
        after = resident_gb()
    return {
        "rows": len(x["padding_mask"]),
        "length": length,
        "supervised": supervised / count,
        "products_ratio": _products_ratio(lm, length, supervised / count),
        "state_bytes": states.nbytes,
        "bytes_a_row": states.nbytes / len(x["padding_mask"]),
        "pass_s": passed,
        "resident_gb": before,
        "resident_without_lower_gb": after,
        "steps_s": steps,
        "processor_s": processor,
    }


def _products_ratio(lm, length, supervised):
    """The top's share of a step's matrix products, by the model's shape."""
    import keras_grow
    from keras_grow.growth.costs import ModelShape
    from keras_grow.growth.costs import forward_flops
    from keras_grow.growth.costs import growth_step_flops
    from keras_grow.growth.families import family_of

    shape = ModelShape.of(lm.backbone, family_of(lm.backbone))
    configs = [each.config for each in keras_grow.growths(lm).values()]
    whole = growth_step_flops(shape, configs, length, supervised)
    blocks = forward_flops(shape, (), length, supervised=0.0)
    below = blocks * min(configs[-1].layers) / shape.num_blocks
    return (whole - below) / whole


def summarize(result):
    """Fastest and median steps, and their ratios."""
    for batch in result["batches"].values():
        for figure in ("steps_s", "processor_s"):
            whole, top = [batch[figure][name] for name in ("whole", "top")]
            batch[f"{figure}_ratio"] = statistics.median(
                t / w for t, w in zip(top, whole, strict=True)
            )
            batch[f"{figure}_ratio_of_fastest"] = min(top) / min(whole)
    return result


def markdown(report):
    """The report for people."""
    lines = ["# A step of the top alone", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    lines += [
        "",
        "`ratio` is the median of the pairs of steps, the top's over the "
        "whole model's; beside it the same of the processor time of all "
        "threads, and of the matrix products, by the model's shape.",
        "",
        "| blocks | batch | whole s | top s | ratio | by processor time | "
        "by products | goal | kept KB a row | GB held | without the lower "
        "blocks |",
        "| ---: | --- |" + " ---: |" * 9,
    ]
    for blocks, result in report["runs"].items():
        for name, batch in result.get("batches", {}).items():
            fastest = [min(batch["steps_s"][side]) for side in ("whole", "top")]
            lines.append(
                f"| {blocks} | {name}, 8 x {batch['length']}, "
                f"{batch['supervised']:.1%} supervised | {fastest[0]:.2f} | "
                f"{fastest[1]:.2f} | {batch['steps_s_ratio']:.3f} | "
                f"{batch['processor_s_ratio']:.3f} | "
                f"{batch['products_ratio']:.3f} | "
                f"{GOALS.get(int(blocks), '')} | "
                f"{batch['bytes_a_row'] / 1e3:.0f} | "
                f"{batch['resident_gb']:.2f} | "
                f"{batch['resident_without_lower_gb']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--blocks", nargs="+", default=["4", "10"])
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--output", type=Path, default=Path("lower_states"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(MARK + json.dumps(measure(arguments)))
        return
    names = ("model", "backend", "steps", "rows")
    settings = {name: getattr(arguments, name) for name in names}
    report = {"machine": describe(), "settings": settings, "runs": {}}
    for blocks in arguments.blocks:
        words = ["--one", blocks, "--model", arguments.model]
        words += ["--steps", str(arguments.steps)]
        words += ["--rows", str(arguments.rows), "--sets", *arguments.sets]
        words += ["--data", str(arguments.data)]
        result = run_alone(__file__, words, arguments.backend)
        if "failed" not in result:
            result = summarize(result)
        report["runs"][blocks] = result
        arguments.output.with_suffix(".json").write_text(
            json.dumps(report, indent=1)
        )
        arguments.output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()

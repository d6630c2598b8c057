"""What padding costs: updates on real rows, padded and in length buckets.

    python examples/benchmarks/lengths.py --output lengths

Each set of rows is trained three ways in one process, an update of each in
turn, so that whatever else the machine does slows all of them:

    padded    every row padded to the longest of the set, as `encode` does
    cut       the same examples in each update, cut to what the update needs
    buckets   rows of like length together (`LengthBuckets`)

Useful tokens are those of the rows, without padding. The share of padding is
that of the whole epoch; the seconds are those of the first `--updates` of it,
after every shape is compiled. Writes `lengths.json` and `lengths.md`.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from machine import MARK
from machine import describe
from machine import run_alone
from real_rows import FOLDER
from real_rows import SETS
from real_rows import encoded

WAYS = {
    "padded": {"lengths": 1, "group": False},
    "cut": {"group": False},
    "buckets": {},
}
GOAL = ("multi30k", 1.6)


def measure(arguments):
    """Every way of one set and case in this process."""
    import keras
    from methods import Case
    from methods import make_model

    from keras_grow import LengthBuckets
    from keras_grow import load_causal_lm

    keras.utils.set_random_seed(0)
    name, case = arguments.one.split("/")
    tokenizer = load_causal_lm(arguments.model).preprocessor.tokenizer
    with tempfile.TemporaryDirectory() as work:
        rows = encoded(name, tokenizer, arguments.data, Path(work))
    lm = make_model(Case.parse(case), arguments.model)
    ways = {
        way: LengthBuckets(
            *rows, batch_size=arguments.batch_size, seed=1, **options
        )
        for way, options in WAYS.items()
    }

    def update(batch):
        x, y, weights = batch
        begin = time.perf_counter(), time.process_time()
        loss = lm.train_on_batch(x, y, sample_weight=weights)
        float(loss[0] if isinstance(loss, list) else loss)
        end = time.perf_counter(), time.process_time()
        return [b - a for a, b in zip(begin, end, strict=True)]

    compiled, results = {}, {}
    for way, data in ways.items():
        results[way] = {
            "lengths": list(data.lengths),
            "padding": data.padding_share,
            "tokens": 0,
            "seconds": [],
            "processor": [],
            "batch_lengths": [],
        }
        for index in range(len(data)):
            batch = data.batch(index)
            length = batch[1].shape[1]
            if length not in compiled:
                compiled[length] = update(batch)[0]
    for index in range(arguments.updates):
        for way, data in ways.items():
            batch, result = data.batch(index), results[way]
            seconds, processor = update(batch)
            result["tokens"] += int(batch[0]["padding_mask"].sum())
            result["seconds"].append(seconds)
            result["processor"].append(processor)
            result["batch_lengths"].append(batch[1].shape[1])
    return {
        "rows": len(rows),
        "updates_an_epoch": len(ways["padded"]),
        "first_update_s": compiled,
        "supervised": float(rows.sample_weight.sum() / rows.y.size),
        "ways": results,
    }


def summarize(result):
    """Tokens a second of each way, and the ratio to padded rows."""
    for way in result["ways"].values():
        way["tokens_a_second"] = way["tokens"] / sum(way["seconds"])
        way["tokens_a_processor_second"] = way["tokens"] / sum(way["processor"])
    padded = result["ways"]["padded"]
    for way in result["ways"].values():
        for figure in ("tokens_a_second", "tokens_a_processor_second"):
            way[f"{figure}_ratio"] = way[figure] / padded[figure]
    return result


def markdown(report):
    """The report for people."""
    lines = ["# Updates on real rows, padded and in length buckets", ""]
    lines += [f"- {k}: {v}" for k, v in report["machine"].items()]
    lines += [f"- {k}: {v}" for k, v in report["settings"].items()]
    lines += [
        "",
        "Useful tokens are without padding. `of padded's` is the ratio of "
        "tokens a second, and beside it that of tokens a second of all "
        "threads' processor time, which a busy machine disturbs less.",
        "",
        "| rows | case | way | lengths | padding | useful tokens a second "
        "| of padded's | by processor time |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for key, result in report["runs"].items():
        name, case = key.split("/")
        for way, found in result.get("ways", {}).items():
            lines.append(
                f"| {name} ({result['rows']}) | {case} | {way} | "
                f"{', '.join(map(str, found['lengths']))} | "
                f"{found['padding']:.1%} | {found['tokens_a_second']:.1f} | "
                f"{found['tokens_a_second_ratio']:.2f} | "
                f"{found['tokens_a_processor_second_ratio']:.2f} |"
            )
    name, goal = GOAL
    lines += ["", f"Goal: {goal} of padded's on {name} in buckets."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--cases", nargs="+", default=["grow_last10@response"])
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--updates", type=int, default=24)
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--output", type=Path, default=Path("lengths"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(MARK + json.dumps(measure(arguments)))
        return
    names = ("model", "backend", "batch_size", "updates")
    settings = {name: getattr(arguments, name) for name in names}
    report = {"machine": describe(), "settings": settings, "runs": {}}
    for case in arguments.cases:
        for name in arguments.sets:
            words = ["--one", f"{name}/{case}", "--model", arguments.model]
            words += ["--batch-size", str(arguments.batch_size)]
            words += ["--updates", str(arguments.updates)]
            words += ["--data", str(arguments.data)]
            result = run_alone(__file__, words, arguments.backend)
            if "failed" not in result:
                result = summarize(result)
            report["runs"][f"{name}/{case}"] = result
            # After every run, so that a job that is stopped leaves them.
            arguments.output.with_suffix(".json").write_text(
                json.dumps(report, indent=1)
            )
            arguments.output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()

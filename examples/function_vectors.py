"""Table 1: how much of its function vectors does a tuned model keep?

    python examples/function_vectors.py runs/french sft g_freeze lora_8

`runs/french` is the folder of a finished comparison; the rest are names of its
methods. Writes `function_vectors.md` and `function_vectors.json` into it. Each
model takes minutes on a CPU and is not measured again when the command is
repeated.

The vectors are found on every other pair of a task. The remaining pairs are
asked of the base with no example, without and with its own vector added after
several blocks (Todd et al., arXiv 2310.15213).
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import keras

from keras_grow.analysis import FunctionVector
from keras_grow.analysis import InContextTask
from keras_grow.analysis import compare_with_base
from keras_grow.analysis import find_function_vector
from keras_grow.analysis import kept_table
from keras_grow.analysis import task_prompts
from keras_grow.analysis import zero_shot
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.comparison.layout import run_name

TASKS = ("antonyms", "country_capital", "english_french")
EVERY = 3  # blocks between those after which the vector is added


def half(name: str, start: int) -> InContextTask:
    """Every other pair of a built-in task."""
    return InContextTask(name, InContextTask.built_in(name).pairs[start::2])


def vectors_of(
    run: Path, method: Method | None, tasks: list[str], prompts: int
) -> dict[str, FunctionVector]:
    """The function vector of each task in one model of a comparison."""
    name = run_name(method, 0) if method else "base"
    trained = run / name / "done.json"
    cache = run / "function_vectors"
    cache.mkdir(exist_ok=True)
    lm = None
    found = {}
    for task in tasks:
        file = cache / f"{name}-{task}-{prompts}.json"
        fresh = file.exists() and (
            not method or file.stat().st_mtime > trained.stat().st_mtime
        )
        if not fresh:
            lm = lm or load_run(run, method)
            print(f"{name}: {task}", flush=True)
            vector = find_function_vector(lm, half(task, 0), prompts=prompts)
            vector.save(file)
        found[task] = FunctionVector.load(file)
    return found


def steered(
    lm: keras.Model, tasks: list[str], base: dict[str, FunctionVector]
) -> list[dict[str, Any]]:
    """How well the base answers with no example, with and without its vector.

    The questions are not those that the vectors were found with.
    """
    rows = []
    depth = len(lm.backbone.transformer_layers)
    for task in tasks:
        held = half(task, 1)
        drawn = task_prompts(held, lm.preprocessor.tokenizer, len(held.pairs))
        kinds = {"none": drawn.zero_shot, "5 examples": drawn.clean}
        for shown, prompts in kinds.items():
            rows.append({"task": task, "added": shown})
            rows[-1] |= zero_shot(lm, prompts)._asdict()
        for layer in range(EVERY - 1, depth, EVERY):
            vector = base[task].vector
            rows.append({"task": task, "added": f"vector after block {layer}"})
            rows[-1] |= zero_shot(lm, drawn.zero_shot, vector, layer)._asdict()
    return rows


def steered_table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of `steered` as Markdown."""
    return [
        "| task | added | accuracy | log-probability |",
        "| --- | --- | ---: | ---: |",
        *(
            f"| {r['task']} | {r['added']} | {r['accuracy']:.3f} "
            f"| {r['log_probability']:.2f} |"
            for r in rows
        ),
    ]


def check(run: Path, names: list[str]) -> list[Method]:
    """The methods of these names, all of them trained."""
    known = {m.name: m for m in Plan.load(run).methods}
    missing = [
        name
        for name in names
        if name not in known
        or not (run / run_name(known[name], 0) / "done.json").exists()
    ]
    if missing:
        raise SystemExit(
            f"Expected methods of {run} whose training is done, among "
            f"{list(known)}. Received: {missing}"
        )
    return [known[name] for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--prompts", type=int, default=16)
    options = parser.parse_args()
    run, prompts, tasks = options.run, options.prompts, options.tasks
    methods = check(run, options.methods)
    base = vectors_of(run, None, tasks, prompts)
    tuned = {m.name: vectors_of(run, m, tasks, prompts) for m in methods}
    kept = compare_with_base(base, tuned)
    zero = steered(load_run(run), tasks, base)
    lines = [
        f"{prompts} prompts of 5 examples per task, 10 causal heads.",
        "",
        kept_table(kept),
        "",
        "The base, asked without examples, with its own vector added to the",
        "residual stream, and with examples:",
        "",
        *steered_table(zero),
    ]
    table = "\n".join(lines)
    print(table)
    (run / "function_vectors.md").write_text(table + "\n", "utf-8")
    result = {
        "prompts": prompts,
        "kept": [dataclasses.asdict(row) for row in kept],
        "causal_heads": {
            model: {
                task: [
                    [*head, round(float(vector.effects[head]), 5)]
                    for head in vector.heads
                ]
                for task, vector in vectors.items()
            }
            for model, vectors in {"base": base, **tuned}.items()
        },
        "steered": zero,
    }
    text = json.dumps(result, indent=1)
    (run / "function_vectors.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

"""Table 1: how much of its function vectors does a tuned model keep?

    python examples/function_vectors.py runs/french sft g_freeze lora_8

`runs/french` is the folder of a finished comparison, the rest names of its
methods. Writes `function_vectors.md` and `function_vectors.json` into it. A
model takes minutes on a CPU, is dropped before the next one is loaded, and is
not measured again when the command is repeated. The base is also asked with no
example, as it is and with its own function vector added at a third and two
thirds of its depth (Todd et al., arXiv 2310.15213).
"""

import argparse
import dataclasses
import json
from pathlib import Path

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

TASKS = ("antonyms", "country_capital", "english_french")


def vectors_of(
    run: Path, method: Method | None, tasks: list[InContextTask], prompts: int
) -> dict[str, FunctionVector]:
    """The function vector of each task in one model of a comparison."""
    name = method.name if method else "base"
    cache = run / "function_vectors"
    cache.mkdir(exist_ok=True)
    lm = None
    found = {}
    for task in tasks:
        file = cache / f"{name}-{task.name}-{prompts}.json"
        if not file.exists():
            lm = lm or load_run(run, method)
            print(f"{name}: {task.name}", flush=True)
            vector = find_function_vector(lm, task, prompts=prompts)
            vector.save(file)
        found[task.name] = FunctionVector.load(file)
    return found


def steered(
    lm: keras.Model, tasks: list[InContextTask], base: dict[str, FunctionVector]
) -> list[str]:
    """How well the base answers with no example, with and without its vector.

    The questions are not those that the vectors were found with.
    """
    lines = [
        "| task | added at block | accuracy | log-probability |",
        "| --- | --- | ---: | ---: |",
    ]
    depth = len(lm.backbone.transformer_layers)
    for task in tasks:
        drawn = task_prompts(task, lm.preprocessor.tokenizer, 32, seed=1)
        for layer in (None, depth // 3, 2 * depth // 3):
            vector = None if layer is None else base[task.name].vector
            found = zero_shot(lm, drawn.zero_shot, vector, layer)
            lines.append(
                f"| {task.name} | {'-' if layer is None else layer} "
                f"| {found.accuracy:.3f} | {found.log_probability:.2f} |"
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--prompts", type=int, default=16)
    options = parser.parse_args()
    tasks = [InContextTask.built_in(name) for name in options.tasks]
    methods = {m.name: m for m in Plan.load(options.run).methods}
    base = vectors_of(options.run, None, tasks, options.prompts)
    tuned = {
        name: vectors_of(options.run, methods[name], tasks, options.prompts)
        for name in options.methods
    }
    rows = compare_with_base(base, tuned)
    lines = [
        f"{options.prompts} prompts of 5 examples a task, 10 causal heads.",
        "",
        kept_table(rows),
        "",
        "The base with no example, and with its own function vector added:",
        "",
        *steered(load_run(options.run), tasks, base),
    ]
    table = "\n".join(lines)
    print(table)
    (options.run / "function_vectors.md").write_text(table + "\n", "utf-8")
    result = {
        "prompts": options.prompts,
        "rows": [dataclasses.asdict(row) for row in rows],
        "causal_heads": {
            model: {task: vector.heads for task, vector in vectors.items()}
            for model, vectors in {"base": base, **tuned}.items()
        },
    }
    text = json.dumps(result, indent=1)
    (options.run / "function_vectors.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()

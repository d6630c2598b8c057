"""Table 1: how much of its function vectors does a tuned model keep?

    python examples/function_vectors.py BASE sft=SFT g_freeze=GROWN

BASE, SFT and GROWN are KerasHub presets or folders, `.keras` files or Gemma 3
`.gguf` files. Prints a Markdown table; `--save` writes all the numbers. A
model takes minutes on a CPU and is dropped before the next one is loaded.
"""

import argparse
import dataclasses
import json
import pathlib

import keras
import keras_hub

from keras_grow.analysis import FunctionVector
from keras_grow.analysis import InContextTask
from keras_grow.analysis import built_in_tasks
from keras_grow.analysis import compare_with_base
from keras_grow.analysis import find_function_vector
from keras_grow.analysis import kept_table
from keras_grow.models import load_gemma3_gguf


def load(path: str) -> keras.Model:
    if path.endswith(".gguf"):
        return load_gemma3_gguf(path)
    if path.endswith(".keras"):
        return keras.saving.load_model(path)
    return keras_hub.models.CausalLM.from_preset(path)


def vectors_of(
    path: str, tasks: list[InContextTask], prompts: int, shots: int
) -> dict[str, FunctionVector]:
    lm = load(path)
    found = {}
    for task in tasks:
        print(f"{path}: {task.name}")
        found[task.name] = find_function_vector(
            lm, task, prompts=prompts, shots=shots
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("tuned", nargs="+", metavar="NAME=MODEL")
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=built_in_tasks(),
        help="built-in names or JSON files of your own",
    )
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--save", metavar="FILE")
    args = parser.parse_args()
    tasks = [
        InContextTask.load(name)
        if name.endswith(".json")
        else InContextTask.built_in(name)
        for name in args.tasks
    ]
    base = vectors_of(args.base, tasks, args.prompts, args.shots)
    tuned = {}
    for item in args.tuned:
        name, _, path = item.rpartition("=")
        vectors = vectors_of(path, tasks, args.prompts, args.shots)
        tuned[name or path] = vectors
    rows = compare_with_base(base, tuned)
    print(kept_table(rows))
    if args.save:
        heads = {
            model: {task: vector.heads for task, vector in vectors.items()}
            for model, vectors in {"base": base, **tuned}.items()
        }
        result = {
            "prompts": args.prompts,
            "shots": args.shots,
            "rows": [dataclasses.asdict(row) for row in rows],
            "causal_heads": heads,
        }
        pathlib.Path(args.save).write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

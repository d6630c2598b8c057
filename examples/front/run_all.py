"""The whole grid: one process per method, several at once.

    python examples/front/run_all.py --gguf FILE --tokens FILE --runs FOLDER

A method's rates are bracketed, then repeated with other seeds, by `train.py`.
What is written `METHOD=RATE/SEED,...` runs these alone: rates below those that
bracket the lowest loss, for small budgets of forgetting, further seeds, rivals
and variations of growth. `--set science` is for what `encode.py --task science`
wrote. Runs that exist are not made again.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

METHODS = (
    # What needs the ranking of the blocks that a run of it writes comes last.
    "sft",
    "sft+anchor",
    "g_freeze",
    "g_freeze+anchor",
    "lora",
    "lora+anchor",
    "g_train",
    "g_train+anchor",
    "g_freeze_10",
    "g_freeze_10+anchor",
)
MORE = (
    "sft=5e-6/0,2.5e-6/0,5e-6/1,1e-5/1,5e-6/2,1e-5/2",
    "sft+anchor=5e-6/0,2.5e-6/0",
    "sft_up=2e-5/0,4e-5/0,1e-5/0,8e-5/0",
    "sft_up+anchor=4e-5/0,2e-5/0,8e-5/0",
    "dft=2e-5/0,4e-5/0,1e-5/0",
    "sft+replay=2e-5/0,1e-5/0,4e-5/0",
    "sft+self=2e-5/0,1e-5/0,4e-5/0",
    "stm=2e-5/0,1e-5/0,4e-5/0",
    "sft_attention=4e-5/0,2e-5/0,8e-5/0",
    "fapm=2e-5/0,1e-5/0,4e-5/0",
    "g_freeze_up=5e-5/0,1e-4/0,2.5e-5/0,2e-4/0,5e-5/1,1e-4/1,5e-5/2,1e-4/2",
    "g_freeze_up+anchor=1e-4/0,5e-5/0,2e-4/0,4e-4/0,1e-4/1,1e-4/2",
    "g_train=1e-5/0,2e-5/1,4e-5/1,2e-5/2,4e-5/2",
    "g_freeze=1.25e-5/0,6e-6/0",
    "g_freeze+anchor=1.25e-5/0",
    "lora=1.25e-4/0,6e-5/0",
    "lora+anchor=1.25e-4/0",
    "g_train_unequal=4e-5/0,8e-5/0,2e-5/0",
    "g_freeze_decay=5e-5/0,2.5e-5/0",
    "g_freeze_zero=5e-5/0,2.5e-5/0",
    "g_freeze_10=1.25e-5/0",
    "g_freeze_10+anchor=2.5e-5/0",
    "sft+anchor=1e-5/1,2e-5/1,1e-5/2,2e-5/2",
    "g_train+anchor=4e-5/1,4e-5/2,8e-5/2",
    "g_freeze_5=1e-4/0,2e-4/0,5e-5/0",
    "g_freeze_3=1e-4/0,2e-4/0,4e-4/0",
    "g_freeze_1=1e-4/0,2e-4/0,4e-4/0",
)
SCIENCE = (
    "sft=1e-5/0,2e-5/0,5e-6/0,2.5e-6/0,5e-6/1,1e-5/1,5e-6/2,1e-5/2",
    "sft+anchor=2e-5/0,1e-5/0,4e-5/0,5e-6/0,1e-5/1,1e-5/2",
    "g_train=4e-5/0,2e-5/0,8e-5/0,1e-5/0,2e-5/1,4e-5/1,2e-5/2,4e-5/2",
    "g_train+anchor=4e-5/0,8e-5/0,2e-5/0,4e-5/1,4e-5/2",
    "g_freeze_up=5e-5/0,1e-4/0,2.5e-5/0,5e-5/1,5e-5/2",
    "g_freeze_up+anchor=1e-4/0,2e-4/0,5e-5/0",
    "g_freeze=5e-5/0,2.5e-5/0,1e-4/0",
    "g_freeze+anchor=5e-5/0,1e-4/0,2.5e-5/0",
    "lora=5e-4/0,2.5e-4/0,1e-3/0",
    "lora+anchor=5e-4/0,2.5e-4/0,1e-3/0",
)
SETS_OF_METHODS = {"all": (*METHODS, *MORE), "more": MORE, "science": SCIENCE}


def main() -> None:
    """Start what fits, the next when one ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*")
    parser.add_argument("--set", choices=SETS_OF_METHODS, default="all")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--runs", type=Path, required=True)
    arguments, rest = parser.parse_known_args()
    began = time.monotonic()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    train = Path(__file__).with_name("train.py")
    environment = {
        # Several processes share one device and what they compile.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(arguments.runs / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1",
        **os.environ,
    }
    waiting = list(arguments.methods or SETS_OF_METHODS[arguments.set])
    running: list[subprocess.Popen[bytes]] = []
    failed = 0
    while waiting or running:
        left = arguments.seconds - (time.monotonic() - began)
        while waiting and len(running) < arguments.at_once and left > 0:
            method, _, runs = waiting.pop(0).partition("=")
            log = (arguments.runs / f"{method}.log").open("ab")
            options = ["--runs", str(arguments.runs), *rest]
            if runs:
                options += ["--only", *runs.split(",")]
            if left != float("inf"):
                options += ["--seconds", str(left)]
            running.append(
                subprocess.Popen(
                    [sys.executable, str(train), method, *options],
                    stdout=log,
                    stderr=log,
                    env=environment,
                )
            )
        if left <= 0 and not running:
            break
        time.sleep(0.5)
        failed += sum(process.poll() not in (None, 0) for process in running)
        running = [process for process in running if process.poll() is None]
    print(f"{failed} processes failed; see {arguments.runs}/*.log")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()

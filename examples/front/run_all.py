"""The whole grid: one process per method, several at once.

python examples/front/run_all.py --gguf FILE --tokens FILE --runs FOLDER
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

METHODS = (
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


def main() -> None:
    """Start what fits, the next when one ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="*", default=METHODS)
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
    waiting = list(arguments.methods)
    running: list[subprocess.Popen[bytes]] = []
    failed = 0
    while waiting or running:
        left = arguments.seconds - (time.monotonic() - began)
        while waiting and len(running) < arguments.at_once and left > 0:
            method = waiting.pop(0)
            log = (arguments.runs / f"{method}.log").open("ab")
            options = ["--runs", str(arguments.runs), *rest]
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

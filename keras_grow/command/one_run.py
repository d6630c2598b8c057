"""One run of a comparison as a process: what `compare` starts."""

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from keras_grow.command import status_of
from keras_grow.quiet_start import quiet_start


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one method of a plan: `python -m keras_grow.command.one_run`."""
    parser = argparse.ArgumentParser(
        prog="python -m keras_grow.command.one_run"
    )
    parser.add_argument("folder", type=Path, help="folder of the comparison")
    parser.add_argument("method", help="name of a method of the plan")
    parser.add_argument("seed", type=int, help="one of its seeds")
    parser.add_argument("--try-rate", type=float, help="one of a sweep")
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="exit when the standard input is closed",
    )
    options = parser.parse_args(arguments)
    if options.until_eof:
        threading.Thread(target=_end_with_input, daemon=True).start()
    return status_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    with quiet_start():
        from keras_grow.comparison.events import print_event
        from keras_grow.comparison.plan import Plan
        from keras_grow.comparison.run import run_method
        from keras_grow.comparison.sweep import try_rate
    methods = {m.name: m for m in Plan.load(options.folder).methods}
    run = (options.folder, methods[options.method], options.seed)
    if options.try_rate is None:
        run_method(*run)
    else:
        try_rate(*run, options.try_rate, print_event)


def _end_with_input() -> None:
    """Exit when the process that holds the standard input is gone."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())

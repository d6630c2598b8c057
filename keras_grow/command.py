"""The console command `keras-grow`."""

import argparse
import sys
from collections.abc import Sequence

from apps import command as app_command
from keras_grow.comparison import command as compare_command
from keras_grow.export import command as export_command
from keras_grow.selection import command as rank_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keras-grow app`, `compare`, `export` or `rank`.

    Args:
        arguments: words after the command. Defaults to the process's own.

    Returns:
        Exit status: 0, or 1 after an error, which is printed in one line.
    """
    parser = argparse.ArgumentParser(prog="keras-grow", description=__doc__)
    subparsers = parser.add_subparsers(required=True)
    for command in (app_command, compare_command, export_command, rank_command):
        command.add_parser(subparsers)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        print(f"keras-grow: {error}", file=sys.stderr)
        return 1

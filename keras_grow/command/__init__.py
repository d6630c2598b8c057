"""The console command `keras-grow`."""

import argparse
import sys
import traceback
from collections.abc import Callable
from collections.abc import Sequence

import keras_grow.app.command as app
from keras_grow.command import compare
from keras_grow.command import dial
from keras_grow.command import export
from keras_grow.command import rank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keras-grow app`, `compare`, `dial`, `export` or `rank`."""
    options = parser().parse_args(arguments)
    return status_of(lambda: options.run(options))


def status_of(run: Callable[[], None]) -> int:
    """Run a command; print a refusal in one line and return status 1 for it.

    A refusal is an `OSError`, or an error that this package raised itself to
    report what it received or which package to install. Any other error is a
    bug and is raised.
    """
    try:
        run()
    except Exception as error:
        if not _is_refusal(error):
            raise
        print(f"keras-grow: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command. It imports no Keras."""
    whole = argparse.ArgumentParser(prog="keras-grow", description=__doc__)
    subparsers = whole.add_subparsers(required=True)
    for command in (app, compare, dial, export, rank):
        command.add_parser(subparsers)
    return whole


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    own = frame.f_globals["__name__"].partition(".")[0] == "keras_grow"
    text = str(error)
    missing = isinstance(error, ImportError) and text.startswith("Expected")
    return own and (missing or "Received:" in text)

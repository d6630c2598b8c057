"""The console command `keras-grow`."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from collections.abc import Sequence

import keras_grow.app.command as app
from keras_grow.command import compare
from keras_grow.command import dial
from keras_grow.command import export
from keras_grow.command import rank

BACKENDS = ("jax", "tensorflow", "torch")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `keras-grow app`, `compare`, `dial`, `export` or `rank`."""
    options = parser().parse_args(arguments)
    return status_of(lambda: options.run(options))


def status_of(run: Callable[[], None]) -> int:
    """Run a command; print a refusal in one line and return status 1 for it.

    A refusal is an `OSError`, an error that this package raised itself to
    report what it received or which package to install, or a missing backend.
    Any other error is a bug and is raised.
    """
    try:
        run()
    except Exception as error:
        said = _missing_backend(error)
        if said is None and not _is_refusal(error):
            raise
        print(f"keras-grow: {said or error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command. It imports no Keras."""
    whole = argparse.ArgumentParser(
        prog="keras-grow",
        description=(
            "Teach KerasHub language models new skills in new weights. "
            "`keras-grow COMMAND --help` explains a command."
        ),
    )
    subparsers = whole.add_subparsers(required=True)
    for command in (app, compare, dial, export, rank):
        command.add_parser(subparsers)
    return whole


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, OSError):
        return True
    text = str(error)
    missing = isinstance(error, ImportError) and text.startswith("Expected")
    own = _packages(error)[-1] == "keras_grow"
    return own and (missing or "Received:" in text)


def _missing_backend(error: Exception) -> str | None:
    """What to say if Keras did not find the backend that it was to use."""
    chosen = os.environ.get("KERAS_BACKEND")
    if isinstance(error, ValueError) and "keras" in _packages(error):
        if chosen in BACKENDS or "Unable to import backend" not in str(error):
            return None
        return (
            f"Expected KERAS_BACKEND to be one of {', '.join(BACKENDS)}. "
            f"Received: KERAS_BACKEND={chosen}"
        )
    if not isinstance(error, ImportError) or "keras" not in _packages(error):
        return None
    missing = (error.name or "").partition(".")[0]
    if missing not in BACKENDS:
        return None
    why = (
        f"KERAS_BACKEND={chosen}"
        if chosen
        else "KERAS_BACKEND is not set, and Keras' own setting (keras.json in "
        f"~/.keras, or its default) is {missing}"
    )
    return (
        f"Expected the backend of Keras to be installed. Received: {why}, but "
        f"there is no package {missing}. Install it, or set KERAS_BACKEND to "
        f"one that you have: {', '.join(BACKENDS)}."
    )


def _packages(error: Exception) -> list[str]:
    """The packages that an error came through; the last one raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [f.f_globals["__name__"].partition(".")[0] for f in frames]

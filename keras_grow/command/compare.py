"""`keras-grow compare`: a comparison from the command line."""

import argparse
import dataclasses
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.command.options import add_options
from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.quiet_start import quiet_start

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add `compare` to the commands."""
    parser = subparsers.add_parser(
        "compare",
        help="train and score methods on the same task, data and updates",
        description=(
            "Train and score methods on the same task, data and updates, and "
            "write a report. If it is interrupted, the same command resumes "
            "it."
        ),
    )
    parser.add_argument("folder", help="where the report and runs go")
    parser.add_argument(
        "--methods",
        nargs="+",
        required=True,
        type=_method,
        metavar="KIND[:key=value,...]",
        help=f"one or more of {', '.join(KINDS)}; for example "
        "g_freeze:learning_rate=2e-4,layers=10. Kinds are described in "
        "keras_grow.comparison.KINDS, keys are the fields of "
        "keras_grow.comparison.Method; learning_rate=1e-5+5e-5 tries both "
        "rates, layers=0+4 means blocks 0 and 4",
    )
    add_options(parser, Plan, ("methods",))
    parser.add_argument(
        "--layer-counts",
        nargs="+",
        type=int,
        help="run every growth once for each of these numbers of blocks, "
        "with the best blocks of --ranking (in the paper: 1 3 5 7 10 15 20)",
    )
    parser.add_argument(
        "--ranking",
        metavar="FILE",
        help="ranking of the blocks that `keras-grow rank --save FILE` wrote",
    )
    parser.set_defaults(run=run)


def _method(text: str) -> Method:
    try:
        return Method.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace) -> None:
    """Run the comparison that the command line describes."""
    with quiet_start():
        from keras_grow.comparison import compare
        from keras_grow.comparison.layer_counts import with_layer_counts
        from keras_grow.selection.layer_scores import LayerScores

    methods = tuple(options.methods)
    if (options.layer_counts is None) != (options.ranking is None):
        raise ValueError(
            "Expected --layer-counts and --ranking together. Received: "
            f"--layer-counts {options.layer_counts}, --ranking "
            f"{options.ranking}"
        )
    if options.ranking:
        scores = LayerScores.load(options.ranking)
        methods = with_layer_counts(methods, scores, options.layer_counts)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(options).items()
        if name in {field.name for field in dataclasses.fields(Plan)}
    }
    values["methods"] = methods
    compare(Plan(**values), options.folder)

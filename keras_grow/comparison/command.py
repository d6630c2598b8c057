"""`keras-grow compare`: a comparison from the command line."""

import argparse
from typing import Any

from keras_grow.comparison.compare import compare
from keras_grow.comparison.kinds import DEFAULT_RATES
from keras_grow.comparison.layer_counts import with_layer_counts
from keras_grow.comparison.method import Method
from keras_grow.comparison.plan import Plan
from keras_grow.selection.layer_scores import LayerScores


def add_parser(subparsers: Any) -> None:
    """Add `compare` to the commands.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "compare",
        help="train and score methods on the same task, data and updates",
        description="Killed at any moment, the same command goes on.",
    )
    parser.add_argument("folder", help="where results go")
    parser.add_argument("--model", required=True, help="preset, GGUF or folder")
    parser.add_argument("--task", required=True, help="see load_task")
    parser.add_argument(
        "--methods",
        nargs="+",
        required=True,
        type=Method.parse,
        metavar="KIND[:key=value,...]",
        help=f"out of {', '.join(DEFAULT_RATES)}; for example "
        "g_freeze:learning_rate=2e-4,layers=10",
    )
    parser.add_argument(
        "--retention", nargs="*", default=[], help="tasks or .txt files"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    for name, kind, default in (
        ("anchor", str, None),
        ("updates", int, 100),
        ("batch-size", int, 8),
        ("sequence-length", int, None),
        ("too-long", str, "cut_prompt"),
        ("evaluations", int, 5),
        ("examples", int, 200),
        ("generated", int, 64),
        ("dtype", str, "float32"),
        ("data-dir", str, None),
        ("sweep-updates", int, None),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default)
    parser.add_argument(
        "--layer-counts",
        nargs="+",
        type=int,
        help="run every growth once for each of these numbers of blocks "
        "(the paper's: 1 3 5 7 10 15 20), the best of --ranking",
    )
    parser.add_argument("--ranking", help="JSON file of `keras-grow rank`")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the comparison that the command line describes."""
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
    plan = Plan(
        model=options.model,
        task=options.task,
        methods=methods,
        retention=tuple(options.retention),
        anchor=options.anchor,
        updates=options.updates,
        batch_size=options.batch_size,
        sequence_length=options.sequence_length,
        too_long=options.too_long,
        seeds=tuple(options.seeds),
        evaluations=options.evaluations,
        examples=options.examples,
        generated=options.generated,
        dtype=options.dtype,
        data_dir=options.data_dir,
        sweep_updates=options.sweep_updates,
    )
    compare(plan, options.folder)

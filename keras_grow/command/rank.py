"""`keras-grow rank`: rank the blocks of checkpoints on disk."""

import argparse
from typing import TYPE_CHECKING

from keras_grow.quiet_start import quiet_start

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: "Subparsers") -> None:
    """Add `rank` to the commands."""
    parser = subparsers.add_parser(
        "rank",
        help="rank transformer blocks by how much growing them should help",
        description=(
            "Rank the transformer blocks of checkpoints: .weights.h5 or "
            ".keras files, or KerasHub preset folders. They are read one "
            "kernel at a time; no model is built."
        ),
    )
    parser.add_argument(
        "checkpoints",
        nargs="+",
        help="for --method update two, before and after fine-tuning; for "
        "signal_to_noise one",
    )
    parser.add_argument(
        "--method",
        choices=("update", "signal_to_noise"),
        default="update",
        help="what to rank by (default: the change between two checkpoints)",
    )
    parser.add_argument(
        "--over",
        default="mlp",
        help="which weights to rank by: mlp (default), up (its up-projections "
        "alone), all (MLP and attention), or slots such as "
        "gating_ffw,attention.query_dense",
    )
    parser.add_argument(
        "--absolute",
        action="store_true",
        help="do not divide the change by the norm of the weights before it",
    )
    parser.add_argument(
        "--top", type=int, metavar="N", help="keep the N best blocks alone"
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help="write the ranking as JSON, for `keras-grow compare --ranking`",
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="draw the ranking as bars (.png, .pdf)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Rank, print the table, write the requested files."""
    with quiet_start():
        from keras_grow.files import atomic_path
        from keras_grow.selection import rank_by_signal_to_noise
        from keras_grow.selection.update import rank_layers

    wanted = 2 if args.method == "update" else 1
    if len(args.checkpoints) != wanted:
        raise ValueError(
            f"Expected {wanted} checkpoint(s) for --method {args.method}. "
            f"Received: {args.checkpoints}"
        )
    over = args.over
    if over not in ("mlp", "up", "all"):
        over = over.split(",")
    if args.method == "update":
        before, after = args.checkpoints
        scores = rank_layers(before, after, over, not args.absolute)
    else:
        scores = rank_by_signal_to_noise(args.checkpoints[0], over)
    if args.top is not None:
        scores = scores.top(args.top)
    if args.save:
        scores.save(args.save)
    if args.plot:
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        scores.plot(figure.subplots())
        with atomic_path(args.plot) as part:
            figure.savefig(part)
    print(scores)

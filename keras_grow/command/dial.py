"""`keras-grow dial`: choose the scale of a growth that a budget allows."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_grow.command.base import base_of_growth
from keras_grow.comparison.layout import PLAN_FILE
from keras_grow.quiet_start import quiet_start

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_GROWTHS = "*.grow.safetensors"


def add_parser(subparsers: "Subparsers") -> None:
    """Add `dial` to the commands."""
    parser = subparsers.add_parser(
        "dial",
        help="choose the largest scale of a growth that a budget allows",
        description=(
            "Find the largest scale of a growth at which the perplexity of a "
            "text rises by no more than a budget, and write it into the "
            "growth file: `load_growth` then sets it."
        ),
    )
    parser.add_argument(
        "growth",
        metavar="RUN_OR_GROWTH",
        help="growth file, or folder of a run or a comparison that holds one; "
        "if it holds several, give the path of one",
    )
    parser.add_argument(
        "--model",
        help="base model: preset, GGUF or folder (default: that of a "
        f"{PLAN_FILE} beside the growth file, or one folder above)",
    )
    parser.add_argument(
        "--old",
        required=True,
        metavar="FILE",
        help="text file of the old skill, for its perplexity; WikiText is "
        "split into articles",
    )
    parser.add_argument(
        "--budget",
        type=_share,
        default=0.02,
        help="how much its perplexity may rise, as 2%% (default) or 0.02",
    )
    parser.add_argument(
        "--new",
        metavar="FILE",
        help="rows of the new skill (.jsonl or .csv), whose loss is reported",
    )
    parser.add_argument(
        "--name", help="which growth, if the file holds several"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=6,
        help="how many times to halve the range (default: 6)",
    )
    parser.add_argument(
        "--characters",
        type=int,
        help="how many characters of the old text to read (default: all)",
    )
    parser.add_argument(
        "--rows", type=int, help="how many new rows to read (default: all)"
    )
    parser.add_argument(
        "--dtype",
        help="dtype of the base (default: the plan's; with --model, float32)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="leave the growth file as it is"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Choose the scale, print the table, write the scale into the file."""
    with quiet_start():
        import keras

        from keras_grow.evaluation import Scorer
        from keras_grow.evaluation import loglikelihood
        from keras_grow.evaluation import perplexity
        from keras_grow.growth.choose import choose_scale
        from keras_grow.loading.load import load_causal_lm
        from keras_grow.saving.growth_file import load_growth
        from keras_grow.saving.reading import read_growth_file
        from keras_grow.tasks import read_examples

    path = _growth_file(Path(options.growth))
    # Errors in a file are reported before a model is loaded.
    read_growth_file(path)
    model, dtype = base_of_growth(path, options.model, options.dtype)
    texts = _texts(Path(options.old), options.characters)
    rows = options.new and read_examples(options.new).examples[: options.rows]
    if options.new and not rows:
        raise ValueError(f"Expected rows in --new. Received: {options.new}")
    print(f"Keras on {keras.config.backend()}")
    lm = load_growth(load_causal_lm(model, dtype), path)
    scorer = Scorer(lm)

    def loss(_: object) -> float:
        scored = loglikelihood(
            scorer, [row.prompt for row in rows], [row.response for row in rows]
        )
        return float(-scored.logprob.sum() / scored.n_tokens.sum())

    choice = choose_scale(
        lm,
        new=loss if rows else None,
        old=lambda _: perplexity(scorer, texts),
        budget=options.budget,
        name=options.name,
        steps=options.steps,
    )
    print(choice)
    if not options.dry_run:
        write_scale(path, choice.name, choice.scale)
        print(f"{path} now loads at {choice.scale:g}.")


def write_scale(path: Path, name: str, scale: float) -> None:
    """Write another scale into a growth file; nothing else changes."""
    import dataclasses

    from keras_grow.files import save_tensors
    from keras_grow.saving.reading import read_growth_file

    file = read_growth_file(path)
    scales = {**file.scales, name: scale}
    file = dataclasses.replace(file, scales=scales)
    save_tensors(file.tensors, path, file.metadata)


def _growth_file(path: Path) -> Path:
    """The growth file that was named, or the only one of a folder."""
    if not path.is_dir():
        return path
    # A comparison has a folder for each of its runs.
    found = sorted(path.glob(_GROWTHS)) or sorted(path.glob(f"*/{_GROWTHS}"))
    if not found:
        raise ValueError(
            "Expected a growth file, or the folder of a run or a comparison "
            f"that holds one. Received: {path}, a folder without {_GROWTHS}. "
            "A run saves one only if it grew and left the base as it was."
        )
    if len(found) > 1:
        raise ValueError(
            f"Expected one growth. Received: {path}, a folder with "
            f"{len(found)}: {', '.join(map(str, found))}. Give the path of one."
        )
    return found[0]


def _texts(path: Path, characters: int | None) -> list[str]:
    """The articles of a WikiText file, or the whole of another text."""
    from keras_grow.tasks import wikitext_articles

    text = path.read_text("utf-8")
    texts = wikitext_articles(path) if "\n = " in text else [text]
    if characters is None:
        return texts
    kept = []
    for text in texts:
        kept.append(text[:characters])
        characters -= len(text)
        if characters <= 0:
            break
    return kept


def _share(text: str) -> float:
    """A share, `2%` or `0.02`."""
    number = text.removesuffix("%").strip()
    try:
        return float(number) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"Expected a share such as 2% or 0.02. Received: {text!r}"
        ) from error

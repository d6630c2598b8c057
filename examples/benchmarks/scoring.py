"""How long a scoring of a comparison takes, set by set.

    python examples/benchmarks/scoring.py --data FOLDER --output scoring

Losses of new rows (captions), accuracy over rows of WinoGrande and LAMBADA, and
the perplexity of a text, by one `Scorer`. The first pass compiles, the second
is what each further scoring takes. FOLDER holds `multi30k_enfr_val.jsonl` and
`wikitext2_valid.txt`.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

from machine import describe

from keras_grow import load_causal_lm
from keras_grow.comparison.scores import mean_loss
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import evaluate
from keras_grow.evaluation import perplexity
from keras_grow.tasks import olmo_eval_task
from keras_grow.tasks import wikitext_articles
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.prompts import translation

AIM = 60.0


def sets(scorer, arguments):
    """The functions that score, by the name of what they score."""
    captions = arguments.data / "multi30k_enfr_val.jsonl"
    rows = [json.loads(line) for line in captions.read_text().splitlines()]
    new = tuple(translation(row["en"], row["fr"]) for row in rows)
    texts, left = [], arguments.tokens
    for article in wikitext_articles(arguments.data / "wikitext2_valid.txt"):
        for line in article.splitlines(keepends=True):
            if left > 0 and line.strip():
                texts.append(line)
                left -= len(tokenize(scorer.tokenizer, [line])[0])
    found = {
        f"{arguments.rows} captions": lambda: mean_loss(
            scorer, new[: arguments.rows]
        )
    }
    for name in ("winogrande", "lambada"):
        task = olmo_eval_task(name, limit=arguments.rows)
        found[f"{arguments.rows} of {name}"] = lambda task=task: evaluate(
            scorer, task.test, task.metric
        )
    found[f"{arguments.tokens - left:,} tokens of WikiText-2"] = lambda: (
        perplexity(scorer, ["".join(texts)])
    )
    return found


def markdown(report):
    """The report for people."""
    first, second = report["seconds"].values()
    lines = ["# What a scoring takes", ""]
    lines += [f"- {key}: {value}" for key, value in report["machine"].items()]
    lines += [f"- model: {report['model']}", ""]
    lines += ["| | first, with compiling, s | each further one, s |"]
    lines += ["| --- | ---: | ---: |"]
    for name in first:
        lines.append(f"| {name} | {first[name]:.1f} | {second[name]:.1f} |")
    totals = (sum(first.values()), sum(second.values()))
    lines.append(f"| together | {totals[0]:.1f} | {totals[1]:.1f} |")
    return "\n".join([*lines, "", f"The aim is {AIM:.0f} s.", ""])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=8000)
    parser.add_argument("--output", default="scoring", help="without an ending")
    arguments = parser.parse_args()
    scorer = Scorer(load_causal_lm(arguments.model))
    found = sets(scorer, arguments)
    passes = []
    for _ in range(2):
        seconds = {}
        for name, score in found.items():
            start = time.perf_counter()
            score()
            seconds[name] = time.perf_counter() - start
        passes.append(seconds)
    report = {
        "machine": describe(),
        "model": arguments.model,
        "seconds": dict(zip(("first", "second"), passes, strict=True)),
    }
    output = Path(arguments.output)
    output.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    output.with_suffix(".md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()

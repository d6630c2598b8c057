"""The texts of `router.py`: two skills, and text that is none of them.

What a router is fitted on and what it is tried on never share a text. Of the
kinds of other text it sees two when it is fitted (WikiText and LAMBADA, other
pieces of each), and four never: WinoGrande, arithmetic, code, French prose.
"""

import ast
import json
import random
import sysconfig
from pathlib import Path

from keras_grow.tasks import gettext_en_fr
from keras_grow.tasks import olmo_eval_task
from keras_grow.tasks import prompts
from keras_grow.tasks import wikitext_articles

SKILLS = ("french", "science")


def skill(name, data, split):
    """The examples of a skill, `split` being `"train"` or `"val"`."""
    if name == "french":
        rows = _rows(data / f"multi30k_enfr_{split}.jsonl")
        examples = [prompts.translation(row["en"], row["fr"]) for row in rows]
    else:
        rows = _rows(data / f"science_qa_{split}.jsonl")
        examples = [
            prompts.multiple_choice(
                row["question"], row["choices"], row["gold"]
            )
            for row in rows
        ]
    # The science rows come sorted by where they are from.
    return random.Random(0).sample(examples, len(examples))


def others(data):
    """Prompts and what follows them, by the kind of text, in a fixed order."""
    kinds = {
        "winogrande": _asked("winogrande"),
        "lambada": _asked("lambada"),
        "wikitext": [_halves(text) for text in passages(data)],
        "gsm8k": _asked("gsm8k"),
        "code": [_halves(text) for text in _functions()],
        "french prose": [_halves(text) for text in _french_prose()],
    }
    return {kind: _shuffled(pairs) for kind, pairs in kinds.items()}


def near(data):
    """Prompts that are close to a skill and are none of it, by kind."""
    captions = _rows(data / "multi30k_enfr_val.jsonl")
    kinds = {
        "captions, plain English": [row["en"] for row in captions],
        "captions, plain French": [row["fr"] for row in captions],
        **{
            name: [prompt for prompt, _ in _asked(name)]
            for name in ("sciq", "boolq", "piqa", "hellaswag")
        },
    }
    return {kind: _shuffled(texts) for kind, texts in kinds.items()}


def passages(data):
    """Paragraphs of WikiText of 200 to 800 characters."""
    articles = wikitext_articles(data / "wikitext2_valid.txt")
    lines = [line for article in articles for line in article.split("\n")]
    return [line for line in lines if 200 <= len(line) <= 800]


def _asked(name):
    """What a set asks, less the solved questions before the last."""
    examples = olmo_eval_task(name).test
    return [(e.prompt.rpartition("\n\n")[2], e.response) for e in examples]


def _halves(text):
    """A text cut at the white space nearest to its middle."""
    middle = len(text) // 2
    cut = text.find(" ", middle)
    return (text, "") if cut < 0 else (text[:cut], text[cut:])


def _functions():
    """Functions of Python's standard library, of 200 to 800 characters."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    found = []
    for path in sorted(folder.glob("*.py")):
        source = path.read_text("utf-8", errors="replace")
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                text = ast.get_source_segment(source, node) or ""
                if 200 <= len(text) <= 800:
                    found.append(text)
    return found


def _french_prose():
    """Interface strings of Django and Sphinx that are sentences: 50+ letters.

    Prose in a wide sense: nothing longer in French comes with a pip package.
    """
    task = gettext_en_fr()
    texts = [e.response.strip() for e in (*task.train, *task.validation)]
    return [text for text in texts if len(text) >= 50]


def _rows(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _shuffled(values):
    return random.Random(0).sample(values, len(values))

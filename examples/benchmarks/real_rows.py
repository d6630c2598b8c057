"""The rows that the benchmarks of real data train on, as token ids."""

import json
import random
from pathlib import Path

from keras_grow.tasks import encode
from keras_grow.tasks import read_examples

# Not part of the repository: files of rows, see each one's columns below.
FOLDER = Path("../shared/data")
SETS = ("multi30k", "scitail", "messages")


def encoded(name, tokenizer, folder, work):
    """All training rows of a set, padded to the longest as `encode` does.

    Args:
        name: `"multi30k"` (captions, English to French), `"scitail"`
            (entailment) or `"messages"`: chats of one to three turns that are
            made of science questions.
        tokenizer: of the model.
        folder: where the files are.
        work: where the file of chats is written.
    """
    if not folder.is_dir():
        raise SystemExit(
            f"Expected files of rows in {folder}, which are not part of this "
            "repository. Received: no such folder. Pass `--data`."
        )
    files = {
        "multi30k": folder / "multi30k_enfr_train.jsonl",
        "scitail": folder / "scitail_train.jsonl",
    }
    template = None
    if name == "messages":
        template = "gemma"
        files[name] = _chats(folder / "science_qa_train.jsonl", work)
    examples = read_examples(files[name], template=template).examples
    return encode(examples, tokenizer)


def _chats(source, work):
    """A file of `messages`, one to three questions and answers a chat."""
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    rng = random.Random(0)
    path = work / "messages.jsonl"
    with path.open("w") as file:
        while rows:
            turns = []
            for _ in range(min(rng.choice([1, 1, 2, 3]), len(rows))):
                row = rows.pop()
                asked = "\n".join([row["question"], *row["choices"]])
                answer = row["choices"][row["gold"]]
                turns.append({"role": "user", "content": asked})
                turns.append({"role": "assistant", "content": answer})
            file.write(json.dumps({"messages": turns}) + "\n")
    return path

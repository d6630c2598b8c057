"""The tokens of chats, and which of them are an assistant's."""

import itertools
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from keras_grow.tasks.example import Turn

Tokenize = Callable[[Sequence[str]], list[list[int]]]
# The tokens of a row, and whether each is to be learned.
Tokens = tuple[list[int], list[bool]]


def chat_tokens(
    chats: Sequence[Sequence[Turn]], tokenize: Tokenize
) -> list[Tokens]:
    """Tokens of each chat, and which are learned: answers and their ends.

    If no token crosses the border of an answer, they are the tokens of the
    whole text, as in transformers. Otherwise the text is cut at the borders
    first, as happens when the model answers.
    """
    pieces = [
        [
            part
            for turn in turns
            for part in (turn.before, turn.answer + turn.end)
        ]
        for turns in chats
    ]
    prefixes = [
        ["".join(parts[: count + 1]) for count in range(len(parts))]
        for parts in pieces
    ]
    through = iter(tokenize([text for texts in prefixes for text in texts]))
    apart = iter(tokenize([text for parts in pieces for text in parts]))
    rows = []
    for parts in pieces:
        first = [next(through) for _ in parts]
        cut = [next(apart) for _ in parts]
        whole = first[-1]
        if all(whole[: len(ids)] == ids for ids in first):
            ends = [0, *map(len, first)]
            cut = [
                whole[start:stop] for start, stop in itertools.pairwise(ends)
            ]
        tokens = [token for ids in cut for token in ids]
        trains = [bool(n % 2) for n, ids in enumerate(cut) for _ in ids]
        rows.append((tokens, trains))
    return rows


def with_marks(tokenize: Tokenize, marks: Mapping[str, int]) -> Tokenize:
    """A tokenizer that also recognizes the texts of some tokens.

    SentencePiece splits `</s>` in a text into letters; in a chat it is one
    token. `marks` are token ids by text.
    """
    if not marks:
        return tokenize
    border = re.compile("(" + "|".join(map(re.escape, marks)) + ")")

    def marked(texts: Sequence[str]) -> list[list[int]]:
        parts = [list(filter(None, border.split(text))) for text in texts]
        plain = [part for own in parts for part in own if part not in marks]
        ids = iter(tokenize(plain))
        rows = []
        for own in parts:
            row: list[int] = []
            for part in own:
                row += [marks[part]] if part in marks else next(ids)
            rows.append(row)
        return rows

    return marked

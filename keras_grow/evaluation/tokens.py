"""Texts as tokens for scoring, split as lm-evaluation-harness splits them."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import start_token

Pair = tuple[list[int], list[int]]


def encode_pairs(
    tokenizer: Any,
    contexts: Sequence[str],
    continuations: Sequence[str],
    add_start_token: bool = True,
) -> list[Pair]:
    """Encode contexts and continuations as they are read: together.

    White space at the end of a context moves to the continuation. The whole
    text is encoded, then the context alone; the continuation is what the whole
    has beyond the length of the context. An empty context is the start token.
    """
    check_texts(contexts, "contexts")
    check_texts(continuations, "continuations")
    if len(contexts) != len(continuations):
        raise ValueError(
            "Expected a continuation for each context. Received: "
            f"{len(contexts)} contexts, {len(continuations)} continuations"
        )
    bare = [context.rstrip() if context else "" for context in contexts]
    wholes = [
        context + continuation
        for context, continuation in zip(contexts, continuations, strict=True)
    ]
    unique = list(dict.fromkeys([*bare, *wholes]))
    ids = dict(zip(unique, tokenize(tokenizer, unique), strict=True))
    start = [start_token(tokenizer)]
    pairs = []
    for context, text, whole in zip(contexts, bare, wholes, strict=True):
        before = ids[text]
        tokens = ids[whole]
        if add_start_token or not context:
            before, tokens = start + before, start + tokens
        if not before:
            before, tokens = start, start + tokens
        pairs.append((before, tokens[len(before) :]))
    return pairs


def cut_left(
    tokens: Sequence[int], room: int, start: int | None
) -> Sequence[int]:
    """The last tokens of a text, after its start token if it has one.

    Models such as Gemma predict far worse without it.
    """
    if len(tokens) <= room:
        return tokens
    if start is not None and tokens[0] == start and room > 1:
        return [start, *tokens[len(tokens) - room + 1 :]]
    return tokens[len(tokens) - room :]


def check_texts(texts: Sequence[str], name: str) -> None:
    """Refuse a single text, which would be read as its characters."""
    if isinstance(texts, str):
        raise TypeError(
            f"Expected `{name}` to be a list of texts. "
            f"Received: {name}={texts!r}. Put it in a list."
        )


def windows(
    tokens: list[int], start_token: int, max_length: int, stride: int
) -> Iterator[Pair]:
    """Cut a long text into windows that score each token once.

    Every window begins with the start token, because models such as Gemma
    predict far worse without it; then come `max_length - stride` tokens that
    were scored before, as context, then up to `stride` tokens to score.
    """
    begin = 0
    while begin < len(tokens):
        # The first window has no context and scores as many as it can read.
        end = begin + (stride if begin else max_length)
        context = tokens[max(0, begin - (max_length - stride)) : begin]
        yield [start_token, *context], tokens[begin:end]
        begin = end


def bucketed(length: int, smallest: int = 16) -> int:
    """Round a length up to one of four sizes per power of two.

    Above `4 * smallest` that is at most a quarter larger.
    """
    step = smallest
    while step * 8 <= length:
        step *= 2
    return -(-length // step) * step

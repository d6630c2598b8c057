"""Examples as the arrays that a KerasHub causal language model trains on."""

import dataclasses
import warnings
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.tasks.chat_tokens import Tokens
from keras_grow.tasks.chat_tokens import chat_tokens
from keras_grow.tasks.chat_tokens import with_marks
from keras_grow.tasks.control_tokens import control_tokens
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Turn

_TOO_LONG = ("raise", "cut_prompt", "leave_out", "window")


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Training arrays, and what was cut or left out to make them.

    It unpacks into what `fit` takes: `x, y, sample_weight = encoded`.

    Args:
        x: `{"token_ids": int32 [N, S], "padding_mask": bool [N, S]}`.
        y: next tokens, int32 `[N, S]`.
        sample_weight: 1 where a token of the response or the end token is
            predicted, otherwise 0; float32 `[N, S]`.
        cut_prompts: how many prompts lost tokens on their left.
        left_out: how many examples did not fit and are not in the arrays.
        cut_texts: how many plain texts were cut into windows, one row each.
    """

    x: dict[str, NDArray[Any]]
    y: NDArray[Any]
    sample_weight: NDArray[Any]
    cut_prompts: int = 0
    left_out: int = 0
    cut_texts: int = 0

    def __iter__(self) -> Iterator[Any]:
        return iter((self.x, self.y, self.sample_weight))

    def __len__(self) -> int:
        return len(self.y)


def encode(
    examples: Sequence[Example],
    tokenizer: Any,
    sequence_length: int | None = None,
    too_long: str = "raise",
    multiple_of: int = 16,
) -> Encoded:
    """Encode examples as a KerasHub causal-LM preprocessor does.

    The layout is that of `Gemma3CausalLMPreprocessor` for the same prompts
    and responses: start token, prompt, response, end token, padding; prompt
    tokens carry no loss. Unlike there, an answer is never cut. In a chat, only
    the answers and what ends them carry loss; the end token is added only if
    the chat's template writes no end of turn.

    Args:
        examples: the examples.
        tokenizer: a KerasHub tokenizer with end and padding tokens, such as
            `lm.preprocessor.tokenizer`.
        sequence_length: S, tokens of a row. Defaults to `None`: that of the
            longest example, rounded up to `multiple_of`.
        too_long: what to do with an example over S tokens: `"raise"` (the
            default); `"cut_prompt"` to drop tokens on the prompt's left;
            `"leave_out"`; or `"window"` to cut a text without a prompt into
            windows of S tokens, each after a start token and each token learned
            once. The result counts all but the first.
        multiple_of: multiple that a chosen length is rounded up to, so that
            few shapes compile. Defaults to 16.

    Returns:
        What `fit` takes, to be unpacked as below. With N the number of
        examples kept, or of their windows: `x`, a dictionary of `token_ids`,
        int32 `[N, S]`, and `padding_mask`, bool `[N, S]`; `y`, the next
        tokens, int32 `[N, S]`; `sample_weight`, float32 `[N, S]`, 1 where a
        token of the response or the end token is predicted, otherwise 0. And
        three counts: `cut_prompts`, of prompts that lost tokens on their
        left; `left_out`, of examples that did not fit; `cut_texts`, of texts
        cut into windows.

    Raises:
        ValueError: if an example is too long and `too_long="raise"`; if an
            answer alone is too long and `too_long="cut_prompt"`; if an example
            that is too long has a prompt and `too_long="window"`; if there are
            no examples or an argument is out of range.

    Example:
    ```python
    from keras_grow.tasks import Example, encode

    x, y, sample_weight = encode(
        [Example("The capital of France is", " Paris")],
        lm.preprocessor.tokenizer,
    )
    lm.fit(x, y, sample_weight=sample_weight)
    ```
    """
    if too_long not in _TOO_LONG:
        raise ValueError(
            f"Expected `too_long` to be one of {_TOO_LONG}. "
            f"Received: too_long={too_long!r}"
        )
    if not examples:
        raise ValueError("Expected at least one example. Received: examples=[]")
    start = getattr(tokenizer, "start_token_id", None)
    start_tokens = [] if start is None else [int(start)]
    whole = _tokens(examples, tokenizer)
    # The last token is a target only.
    lengths = [len(start_tokens) + len(tokens) - 1 for tokens, _ in whole]
    if sequence_length is None:
        sequence_length = -(-max(lengths) // multiple_of) * multiple_of
    if sequence_length < 1:
        raise ValueError(
            "Expected `sequence_length` to be positive. "
            f"Received: sequence_length={sequence_length}"
        )
    rows: list[Tokens] = []
    cut = left_out = cut_texts = 0
    for index, (tokens, trains) in enumerate(whole):
        excess = lengths[index] - sequence_length
        if excess <= 0:
            rows.append((tokens, trains))
        elif too_long == "leave_out":
            left_out += 1
        elif too_long == "cut_prompt" and excess <= trains.index(True):
            rows.append((tokens[excess:], trains[excess:]))
            cut += 1
        elif too_long == "window" and all(trains):
            rows += _windows(tokens, sequence_length, bool(start_tokens))
            cut_texts += 1
        else:
            _refuse(examples, lengths, index, sequence_length, too_long)
    if not rows:
        shortest = int(np.argmin(lengths))
        _refuse(examples, lengths, shortest, sequence_length, too_long)
    x, y, sample_weight = _pack(
        rows, start_tokens, tokenizer.pad_token_id, sequence_length
    )
    return Encoded(x, y, sample_weight, cut, left_out, cut_texts)


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without start or end token.

    The markers of turns are whole tokens wherever the vocabulary has them.
    """
    marks = {
        text: token
        for text, token in control_tokens(tokenizer).items()
        if any(text in each for each in texts)
    }
    split = {}
    if marks:
        # After a letter: some tokenizers put a space before a text.
        letter, *found = _ids(tokenizer, ["a", *(f"a{text}" for text in marks)])
        split = {
            text: token
            for (text, token), ids in zip(marks.items(), found, strict=True)
            if ids != [*letter, token]
        }
    return with_marks(lambda parts: _ids(tokenizer, parts), split)(texts)


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    ids = tokenizer(list(texts))
    if hasattr(ids, "to_list"):  # A ragged tensor of TensorFlow.
        ids = ids.to_list()
    return [[int(token) for token in row] for row in ids]


def _tokens(examples: Sequence[Example], tokenizer: Any) -> list[Tokens]:
    """The tokens of each example after the start token, and which train."""
    plain = [example for example in examples if not example.turns]
    prompts = iter(tokenize(tokenizer, [e.prompt for e in plain]))
    responses = iter(tokenize(tokenizer, [e.response for e in plain]))
    chats = [example.turns for example in examples if example.turns]
    chat_rows = iter(_chat_rows(chats, tokenizer))
    start = getattr(tokenizer, "start_token_id", None)
    end = int(tokenizer.end_token_id)
    rows = []
    for example in examples:
        if example.turns:
            tokens, trains = next(chat_rows)
            if start is not None and tokens[:1] == [start]:
                # A template may write the start token, which every row has.
                tokens, trains = tokens[1:], trains[1:]
            if not example.turns[-1].end:
                tokens, trains = [*tokens, end], [*trains, True]
        else:
            prompt, response = next(prompts), [*next(responses), end]
            tokens = prompt + response
            trains = [False] * len(prompt) + [True] * len(response)
        rows.append((tokens, trains))
    return rows


def _chat_rows(chats: list[tuple[Turn, ...]], tokenizer: Any) -> list[Tokens]:
    """Tokens of chats; warns of a marker that is not a single token."""
    if not chats:
        return []

    def ids(texts: Sequence[str]) -> list[list[int]]:
        return tokenize(tokenizer, texts)

    marks: dict[str, int] = {}
    for name in ("start_token", "end_token"):
        text, token = (
            getattr(tokenizer, n, None) for n in (name, f"{name}_id")
        )
        if isinstance(text, str) and token is not None:
            marks[text] = int(token)
    marked = with_marks(ids, marks)
    ends = sorted({turn.end for turns in chats for turn in turns if turn.end})
    # After a letter: some tokenizers put a space before a text.
    after = marked([f"a{end}" for end in ends])
    (letter,) = marked(["a"])
    for end, tokens in zip(ends, after, strict=True):
        if len(tokens) > len(letter) + 1 and not end.isspace():
            warnings.warn(
                f"{end!r}, which ends the answers of these chats, is "
                f"{len(tokens) - len(letter)} tokens of this tokenizer and not "
                "one. Take the template of the tokenizer's own family.",
                stacklevel=4,
            )
    return chat_tokens(chats, marked)


def _windows(tokens: list[int], length: int, has_start: bool) -> list[Tokens]:
    """Parts of a text that together teach each token once."""
    # Without a start token, a window begins with the last of the one before.
    extra = 0 if has_start else 1
    return [
        (part, [True] * len(part))
        for begin in range(0, len(tokens) - extra, length)
        if (part := tokens[begin : begin + length + extra])
    ]


def _refuse(
    examples: Sequence[Example],
    lengths: list[int],
    index: int,
    sequence_length: int,
    too_long: str,
) -> None:
    """Say which example is too long and what can be done about it."""
    count = sum(length > sequence_length for length in lengths)
    place = examples[index].source or f"example {index}"
    what = {
        "raise": "every example",
        "cut_prompt": "every answer",
        "leave_out": "at least one example",
        "window": "every example that has a prompt",
    }[too_long]
    raise ValueError(
        f"Expected {what} to fit in sequence_length={sequence_length} tokens. "
        f"Received: {place} with {lengths[index]} tokens; {count} of "
        f"{len(examples)} examples are too long, the longest has "
        f"{max(lengths)}. Raise `sequence_length`, or pass "
        'too_long="cut_prompt" or too_long="leave_out", or for texts without '
        'prompts too_long="window".'
    )


def _pack(
    rows: list[Tokens], start: list[int], padding: int, sequence_length: int
) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    """Arrays of S + 1 tokens, split into inputs and next tokens."""
    shape = (len(rows), sequence_length + 1)
    token_ids = np.full(shape, padding, dtype="int32")
    mask = np.zeros(shape, dtype=bool)
    learned = np.zeros(shape, dtype="float32")
    for row, (tokens, trains) in enumerate(rows):
        end = len(start) + len(tokens)
        token_ids[row, :end] = start + tokens
        mask[row, :end] = True
        learned[row, len(start) : end] = trains
    x = {"token_ids": token_ids[:, :-1], "padding_mask": mask[:, :-1]}
    return x, token_ids[:, 1:], learned[:, 1:]

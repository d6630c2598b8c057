"""Examples as the arrays that a KerasHub causal language model trains on."""

import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.tasks.example import Example

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Training arrays, and what was cut or left out to make them.

    It unpacks into what `fit` takes: `x, y, sample_weight = encoded`.

    Args:
        x: `{"token_ids": int32 [N, S], "padding_mask": bool [N, S]}`.
        y: next tokens, int32 `[N, S]`.
        sample_weight: 1 where a response's token or the end token is to be
            predicted, otherwise 0; float32 `[N, S]`.
        cut_prompts: how many prompts lost tokens on their left.
        left_out: how many examples did not fit and are not in the arrays.
    """

    x: dict[str, Array]
    y: Array
    sample_weight: Array
    cut_prompts: int = 0
    left_out: int = 0

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
    tokens carry no loss. Unlike there, an answer is never cut.

    Args:
        examples: the examples.
        tokenizer: a KerasHub tokenizer with start, end and padding tokens,
            such as `lm.preprocessor.tokenizer`.
        sequence_length: S, tokens of a row. Defaults to `None`: that of the
            longest example, rounded up to `multiple_of`.
        too_long: what becomes of an example over S tokens: `"raise"` (the
            default), `"cut_prompt"` to drop tokens on the prompt's left,
            or `"leave_out"`. The last two are counted in the result.
        multiple_of: multiple that a chosen length is rounded up to, so that
            few shapes compile. Defaults to 16.

    Returns:
        `Encoded`; with N the number of examples kept.

    Raises:
        ValueError: if an example is too long and `too_long="raise"`; if an
            answer alone is too long and `too_long="cut_prompt"`; if there are
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
    if too_long not in ("raise", "cut_prompt", "leave_out"):
        raise ValueError(
            'Expected `too_long` to be "raise", "cut_prompt" or "leave_out". '
            f"Received: too_long={too_long!r}"
        )
    if not examples:
        raise ValueError("Expected one example at least. Received: examples=[]")
    prompts = tokenize(tokenizer, [example.prompt for example in examples])
    responses = tokenize(tokenizer, [example.response for example in examples])
    # Start and end token come on top; the last token is a target only.
    lengths = [
        len(prompt) + len(response) + 1
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    if sequence_length is None:
        sequence_length = -(-max(lengths) // multiple_of) * multiple_of
    if sequence_length < 1:
        raise ValueError(
            "Expected `sequence_length` to be positive. "
            f"Received: sequence_length={sequence_length}"
        )
    rows = []
    cut = left_out = 0
    for index, (prompt, response) in enumerate(
        zip(prompts, responses, strict=True)
    ):
        excess = lengths[index] - sequence_length
        if excess > 0 and too_long == "leave_out":
            left_out += 1
            continue
        if excess > 0:
            if too_long == "raise" or excess > len(prompt):
                _refuse(examples, lengths, index, sequence_length, too_long)
            prompt = prompt[excess:]
            cut += 1
        rows.append((prompt, response))
    if not rows:
        shortest = int(np.argmin(lengths))
        _refuse(examples, lengths, shortest, sequence_length, too_long)
    return _pack(rows, tokenizer, sequence_length, cut, left_out)


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without start or end token.

    Args:
        tokenizer: a KerasHub tokenizer.
        texts: the texts.

    Returns:
        A list of ids for each text.

    Example:
    ```python
    from keras_grow.tasks.encode import tokenize

    tokenize(lm.preprocessor.tokenizer, ["hello", "world"])
    ```
    """
    if not texts:
        return []
    ids = tokenizer(list(texts))
    if hasattr(ids, "to_list"):  # A ragged tensor of TensorFlow.
        ids = ids.to_list()
    return [[int(token) for token in row] for row in ids]


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
        "leave_out": "one example at least",
    }[too_long]
    raise ValueError(
        f"Expected {what} to fit in sequence_length={sequence_length} tokens. "
        f"Received: {place} with {lengths[index]} tokens; {count} of "
        f"{len(examples)} examples are too long, the longest has "
        f"{max(lengths)}. Raise `sequence_length`, or pass "
        'too_long="cut_prompt" or too_long="leave_out".'
    )


def _pack(
    rows: list[tuple[list[int], list[int]]],
    tokenizer: Any,
    sequence_length: int,
    cut: int,
    left_out: int,
) -> Encoded:
    """Arrays of S + 1 tokens, split into inputs and next tokens."""
    shape = (len(rows), sequence_length + 1)
    token_ids = np.full(shape, tokenizer.pad_token_id, dtype="int32")
    is_response = np.zeros(shape, dtype="float32")
    for row, (prompt, response) in enumerate(rows):
        tokens = [
            tokenizer.start_token_id,
            *prompt,
            *response,
            tokenizer.end_token_id,
        ]
        token_ids[row, : len(tokens)] = tokens
        is_response[row, 1 + len(prompt) : len(tokens)] = 1.0
    padding_mask = token_ids != tokenizer.pad_token_id
    x = {
        "token_ids": token_ids[:, :-1],
        "padding_mask": padding_mask[:, :-1],
    }
    return Encoded(x, token_ids[:, 1:], is_response[:, 1:], cut, left_out)

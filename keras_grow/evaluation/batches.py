"""Requests for log-likelihoods arranged in batches, in NumPy alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keras_grow.evaluation.tokens import Pair
from keras_grow.evaluation.tokens import cut_left


def group_requests(
    pairs: Sequence[Pair], max_length: int, start: int | None = None
) -> tuple[dict[tuple[int, ...], list[int]], int]:
    """Requests grouped by the tokens to read, and how many lost tokens.

    Choices of one token share what is read, and so are read once. Requests
    without a continuation are in no group. What is longer than `max_length`
    loses tokens on its left, after the `start` token.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    cut = 0
    for request, (context, continuation) in enumerate(pairs):
        if not context:
            raise ValueError(
                "Expected a context of at least one token. "
                f"Received: pairs[{request}]={pairs[request]}"
            )
        if len(continuation) > max_length:
            raise ValueError(
                f"Expected a continuation of at most {max_length} tokens. "
                f"Received: {len(continuation)} tokens in pairs[{request}]. "
                "Raise `max_length`, or score long texts with `perplexity`."
            )
        if not continuation:
            continue
        tokens = (*context, *continuation)[:-1]
        cut += len(tokens) > max_length
        read = tuple(cut_left(tokens, max_length, start))
        groups.setdefault(read, []).append(request)
    return groups, cut


def even_size(rows: int, most: int) -> int:
    """Rows per batch, if all batches have one size.

    Each size is compiled, so there are few: multiples of a quarter of `most`.
    The smallest is chosen that needs no further batch.
    """
    batches = max(1, -(-rows // most))
    even = max(1, -(-rows // batches))
    quarter = max(1, most // 4)
    return min(most, -(-even // quarter) * quarter)


def pad_rows(
    rows: Sequence[Sequence[int]], batch_size: int, length: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Token ids `[B, S]` and padding mask `[B, S]`, padded on the right."""
    token_ids = np.zeros((batch_size, length), dtype="int32")
    mask = np.zeros((batch_size, length), dtype=bool)
    # Attention over nothing would be NaN in the rows that fill up.
    mask[:, 0] = True
    for row, tokens in enumerate(rows):
        token_ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = True
    return token_ids, mask


def positions(
    wanted: Sequence[tuple[int, int]], pairs: Sequence[Pair]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """For each token to score `[P]`: its request, its position, its id.

    `wanted` has pairs of a request and the position, in the flattened batch,
    whose logits predict the first token of its continuation.
    """
    owners: list[int] = []
    index: list[int] = []
    targets: list[int] = []
    for request, first in wanted:
        continuation = pairs[request][1]
        owners.extend([request] * len(continuation))
        index.extend(range(first, first + len(continuation)))
        targets.extend(continuation)
    return (
        np.array(owners, dtype="int64"),
        np.array(index, dtype="int32"),
        np.array(targets, dtype="int32"),
    )

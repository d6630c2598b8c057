"""Divergence of two next-token distributions on their likeliest tokens.

A vocabulary of 262,144 is too wide to keep a distribution of a position, so
the `k` likeliest tokens of the base keep one class each and all other tokens
share one. Merging classes never raises a divergence (the data-processing
inequality), so what is measured is a lower bound of the divergence over the
whole vocabulary.
"""

from typing import Any
from typing import Literal
from typing import get_args

from keras import ops

# Stands for minus infinity where a gradient must not become NaN.
EXCLUDED = -1e30

Direction = Literal["base_to_model", "model_to_base"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


def likeliest(logits: Any, k: int) -> tuple[Any, Any]:
    """The `k` likeliest tokens `[positions, k]` and their classes.

    The classes are the log-probabilities of `bucketed_log_probs`.
    """
    indices = ops.cast(ops.top_k(logits, k)[1], "int32")
    return indices, bucketed_log_probs(logits, indices)


def bucketed_log_probs(logits: Any, indices: Any) -> Any:
    """Log-probabilities of the tokens `indices` and of all others together.

    Of logits `[positions, vocabulary]` and indices `[positions, k]`, distinct
    in a row, it makes float32 `[positions, k + 1]`; each row's exponentials sum
    to one.
    """
    logits = ops.cast(logits, "float32")
    rows, k = ops.shape(logits)[0], indices.shape[1]
    row = ops.broadcast_to(ops.arange(rows, dtype="int32")[:, None], (rows, k))
    at = ops.stack([ops.reshape(row, (-1,)), ops.reshape(indices, (-1,))], -1)
    # Summed directly: one minus the sum of the others would be mostly rounding
    # error when the likeliest tokens hold nearly all the probability.
    others = ops.scatter_update(
        logits, at, ops.full((rows * k,), EXCLUDED, dtype="float32")
    )
    classes = ops.concatenate(
        [
            ops.take_along_axis(logits, indices, axis=-1),
            ops.logsumexp(others, axis=-1, keepdims=True),
        ],
        axis=-1,
    )
    return classes - ops.logsumexp(logits, axis=-1, keepdims=True)


def without(logits: Any, labels: Any) -> Any:
    """Logits that give one token of each position no probability.

    Logits are `[positions, vocabulary]`, labels `[positions]`.
    """
    logits = ops.cast(logits, "float32")
    rows = ops.arange(ops.shape(logits)[0], dtype="int32")
    return ops.scatter_update(
        logits,
        ops.stack([rows, ops.cast(labels, "int32")], axis=-1),
        ops.full((ops.shape(logits)[0],), EXCLUDED, dtype="float32"),
    )


def divergence(
    base: Any, model: Any, direction: Direction = "base_to_model"
) -> Any:
    """The Kullback-Leibler divergence `[positions]`, in nats.

    Both sides are log-probabilities `[positions, classes]`. `"base_to_model"`
    is KL(base || model), the mean over what the base would say;
    `"model_to_base"` is KL(model || base), the mean over what the model would
    say.
    """
    p, q = (base, model) if direction == "base_to_model" else (model, base)
    return ops.sum(ops.exp(p) * (p - q), axis=-1)

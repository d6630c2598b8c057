"""The functions of tensors behind a `Streamer`, compiled for a model."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub
from keras import ops

from keras_grow.evaluation.compiled import compile_over
from keras_grow.growth.rows import row_scales
from keras_grow.growth.state import grown_state
from keras_grow.growth.state import growths_of
from keras_grow.training.head import OutputHead
from keras_grow.training.head import label_log_probs

# Tokens that one call may write.
MOST = 8


@dataclass(frozen=True)
class Functions:
    """What is compiled for one state of a model.

    `read` gives hidden states and cache after a piece of a prompt, and
    `read_one` the same of one token: TensorFlow would make one program of both
    lengths. `step` gives logits, the logarithms of the sums of their
    exponentials, and cache after one more token. `write` gives ids and
    log-likelihoods of up to `MOST` likeliest tokens that follow, and the cache;
    `logprobs` the log-likelihood of a target at each hidden state.
    """

    read: Callable[..., Any]
    read_one: Callable[..., Any]
    step: Callable[..., Any]
    write: Callable[..., Any]
    logprobs: Callable[..., Any]


def functions_of(
    lm: keras.Model, head: OutputHead, max_length: int
) -> Functions:
    """The functions of a model in its present state."""
    grown = bool(growths_of(lm)) and all(
        layer.growth_enabled for layer in grown_state(lm).grown_layers
    )

    def call(
        token_ids: Any, cache: Any, index: Any, scales: Any
    ) -> tuple[Any, ...]:
        more = {}
        if isinstance(lm, keras_hub.models.Gemma3nCausalLM):
            # Its own would be as long as the piece.
            mask = (ops.shape(token_ids)[0], max_length)
            more["padding_mask"] = ops.ones(mask, "bool")
        with contextlib.ExitStack() as held:
            if grown:
                held.enter_context(row_scales(lm, scales))
            outputs: tuple[Any, ...] = lm.call_with_cache(
                token_ids, cache=cache, cache_update_index=index, **more
            )
        return outputs

    def read(*arguments: Any) -> tuple[Any, Any]:
        _, hidden, cache = call(*arguments)
        return hidden, cache

    def step(*arguments: Any) -> tuple[Any, Any, Any]:
        logits, _, cache = call(*arguments)
        logits = ops.cast(logits[:, -1], "float32")
        return logits, ops.logsumexp(logits, axis=-1), cache

    def write(
        tokens: Any, cache: Any, index: Any, count: Any, scales: Any
    ) -> tuple[Any, Any, Any]:
        def more(done: Any, *_: Any) -> Any:
            return done < count

        def one(
            done: Any, last: Any, cache: Any, ids: Any, logprobs: Any
        ) -> tuple[Any, ...]:
            logits, total, cache = step(last, cache, index + done, scales)
            last = ops.cast(ops.argmax(logits, axis=-1)[:, None], "int32")
            found = ops.take_along_axis(logits, last, axis=-1) - total[:, None]
            ids = ops.slice_update(ids, (0, done), last)
            logprobs = ops.slice_update(logprobs, (0, done), found)
            return done + 1, last, cache, ids, logprobs

        rows = ops.shape(tokens)[0]
        start = (
            int32(0),
            tokens,
            cache,
            ops.zeros((rows, MOST), "int32"),
            ops.zeros((rows, MOST), "float32"),
        )
        _, _, cache, ids, logprobs = ops.while_loop(more, one, start)
        return ids, logprobs, cache

    def logprobs(hidden: Any, targets: Any) -> Any:
        return label_log_probs(targets, head(hidden[0]))

    return Functions(
        *(compile_over(f, lm) for f in (read, read, step, write, logprobs))
    )


def int32(value: Any) -> Any:
    """A tensor of whole numbers."""
    return ops.convert_to_tensor(value, "int32")

"""A sum over the supervised positions, one chunk of logits at a time.

Gemma's logits are 262,144 floats per position. Here they exist only for the
positions that carry weight, and for one chunk of them at a time. The gradient
is taken chunk by chunk together with the value: three products with the output
head per position, none of them computed twice.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_grow.training.gradients import value_and_gradients
from keras_grow.training.gradients import with_gradients
from keras_grow.training.head import OutputHead

# Keeps small float16 gradients from vanishing before the loss scale of the
# optimizer reaches them. A power of two, so it rounds nothing itself.
FLOAT16_BOOST = 2.0**10


def sum_over_positions(
    term: Callable[..., tuple[Any, list[Any]]],
    layer: keras.layers.Layer | OutputHead,
    hidden: Any,
    weights: Any,
    targets: Sequence[Any],
    state: Sequence[Any] = (),
    chunk_size: int = 128,
    differentiate: bool = True,
) -> tuple[Any, list[Any]]:
    """Sum a term over the positions whose weight is not zero.

    `term(hidden, weights, targets, state)` on a chunk of at most `chunk_size`
    positions returns its weighted sum, a float32 scalar, and the new state,
    such as metrics. Rows of weight zero must add nothing.

    `hidden` is `[positions, hidden_dim]`, `weights` `[positions]`: which ones
    are zero may change from call to call. The sum is differentiable by `hidden`
    and by the trainable variables of `layer`, which `term` may use.
    """
    positions = hidden.shape[0]
    if positions is None:
        positions = ops.shape(hidden)[0]
    else:
        chunk_size = min(chunk_size, positions)
    trainable = layer.trainable_variables
    frozen = layer.non_trainable_variables
    # Read here: inside a loop of JAX the outer scope's values are not found.
    trainable_values = [ops.convert_to_tensor(v.value) for v in trainable]
    frozen_values = [ops.convert_to_tensor(v.value) for v in frozen]
    arguments = [hidden, *trainable_values]
    hidden, *fixed = [ops.stop_gradient(a) for a in arguments]
    half = keras.backend.standardize_dtype(hidden.dtype) == "float16"
    boost = FLOAT16_BOOST if half else 1.0

    used = ops.not_equal(weights, 0)
    count = ops.sum(ops.cast(used, "int32"))
    # Unique keys: not every backend's sort is stable.
    # With a dtype: under a half-precision floatx it would be int16 on JAX.
    key = ops.arange(positions, dtype="int32")
    key = key + positions * ops.cast(ops.logical_not(used), "int32")
    order = ops.argsort(key)
    inverse = ops.argsort(order)

    def first(tensor: Any) -> Any:
        """Supervised rows first, then a chunk's worth of spare rows."""
        tensor = ops.take(tensor, order, axis=0)
        pads = [[0, chunk_size]] + [[0, 0]] * (len(tensor.shape) - 1)
        return ops.pad(tensor, pads)

    hidden, weights = first(hidden), first(weights)
    targets = [first(t) for t in targets]

    def chunk(start: Any, size: int, state: Sequence[Any]) -> tuple[Any, ...]:
        def rows(tensor: Any) -> Any:
            rest = list(tensor.shape[1:])
            return ops.slice(tensor, [start] + [0] * len(rest), [size, *rest])

        def evaluate(rows_hidden: Any, *values: Any) -> tuple[Any, Any]:
            mapping = [
                *zip(trainable, values, strict=True),
                *zip(frozen, frozen_values, strict=True),
            ]
            with keras.StatelessScope(state_mapping=mapping):
                total, new_state = term(
                    rows_hidden,
                    rows(weights),
                    [rows(t) for t in targets],
                    list(state),
                )
            return total * boost, new_state

        if not differentiate:
            total, state = evaluate(rows(hidden), *fixed)
            return total, list(state), None, []
        total, state, (rows_gradient, *gradients) = value_and_gradients(
            evaluate, [rows(hidden), *fixed]
        )
        return total, list(state), rows_gradient, gradients

    # All chunks but the last are full; the last takes the smallest size that
    # holds what is left, so few rows of the head are computed for nothing.
    # (No `ops.maximum` with a Python number: that is a float under bfloat16.)
    full = (count - ops.cast(count > 0, "int32")) // chunk_size
    sizes = sorted({-(-chunk_size * part // 8) for part in (1, 2, 4, 8)})
    left = count - full * chunk_size
    choice = sum(ops.cast(left > size, "int32") for size in sizes[:-1])

    def last(size: int) -> Callable[[], tuple[Any, ...]]:
        def branch() -> tuple[Any, ...]:
            start = full * chunk_size
            total, new_state, rows_gradient, gradients = chunk(
                start, size, list(state)
            )
            hidden_gradient: list[Any] = []
            if differentiate:
                hidden_gradient = [
                    ops.slice_update(
                        ops.zeros(ops.shape(hidden), hidden.dtype),
                        [start, 0],
                        rows_gradient,
                    )
                ]
            return total, *new_state, *hidden_gradient, *gradients

        return branch

    def body(i: Any, total: Any, *carry: Any) -> tuple[Any, ...]:
        states = list(carry[: len(state)])
        sums = list(carry[len(state) :])
        more, states, rows_gradient, gradients = chunk(
            i * chunk_size, chunk_size, states
        )
        if differentiate:
            sums[0] = ops.slice_update(
                sums[0], [i * chunk_size, 0], rows_gradient
            )
            sums[1:] = [s + g for s, g in zip(sums[1:], gradients, strict=True)]
        return i + 1, total + more, *states, *sums

    carry = ops.switch(choice, [last(size) for size in sizes])
    carry = ops.while_loop(
        lambda i, *_: i < full, body, (ops.zeros((), "int32"), *carry)
    )
    total = carry[1] / boost
    new_state = list(carry[2 : 2 + len(state)])
    if differentiate:
        by_hidden, *by_layer = carry[2 + len(state) :]
        by_hidden = ops.take(by_hidden, inverse, axis=0)
        gradients = [by_hidden, *by_layer]
        if half:
            gradients = [ops.cast(g, "float32") / boost for g in gradients]
        total = with_gradients(total, arguments, gradients)
    return total, new_state

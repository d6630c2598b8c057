"""Gradients taken while the loss is computed, on each of Keras' backends."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def value_and_gradients(
    function: Callable[..., tuple[Any, Any]], arguments: Sequence[Any]
) -> tuple[Any, Any, list[Any]]:
    """Evaluate `function` and differentiate it by every argument.

    It returns a scalar and anything else that the caller needs. Nothing that
    comes back is differentiable further.
    """
    arguments = list(arguments)
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        (value, rest), gradients = jax.value_and_grad(
            lambda inputs: function(*inputs), has_aux=True
        )(arguments)
    elif backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(arguments)
            value, rest = function(*arguments)
        gradients = tape.gradient(
            value, arguments, unconnected_gradients="zero"
        )
    else:
        import torch

        with torch.enable_grad():
            arguments = [a.detach().requires_grad_() for a in arguments]
            value, rest = function(*arguments)
            # Zero for an untied embedding, of which only one half is read.
            gradients = torch.autograd.grad(
                value, arguments, materialize_grads=True
            )
        value = value.detach()
        rest = keras.tree.map_structure(lambda t: t.detach(), rest)
    return value, rest, list(gradients)


def with_gradients(
    value: Any, arguments: Sequence[Any], gradients: Sequence[Any]
) -> Any:
    """Return `value`, differentiable by `arguments` with known `gradients`.

    A gradient may be wider than its argument (float32 for a float16 argument):
    it is scaled by what comes from above before it is rounded.
    """
    dtypes = [keras.backend.standardize_dtype(a.dtype) for a in arguments]

    def scaled(upstream: Any, gradients: Sequence[Any]) -> list[Any]:
        return [
            ops.cast(g * ops.cast(upstream, g.dtype), dtype)
            for g, dtype in zip(gradients, dtypes, strict=True)
        ]

    backend = keras.config.backend()
    if backend == "jax":
        import jax

        attach = jax.custom_vjp(lambda value, arguments, gradients: value)
        attach.defvjp(
            lambda value, arguments, gradients: (value, gradients),
            lambda gradients, upstream: (
                None,
                scaled(upstream, gradients),
                None,
            ),
        )
        return attach(value, list(arguments), list(gradients))
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.custom_gradient(
            lambda *arguments: (
                tf.identity(value),
                lambda upstream: scaled(upstream, gradients),
            )
        )(*arguments)

    import torch

    class Attach(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Any, *arguments: Any) -> Any:
            return value.clone()

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            return None, *scaled(upstream, gradients)

    return Attach.apply(value, *arguments)

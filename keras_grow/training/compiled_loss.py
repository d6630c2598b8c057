"""What `compile` was given, as sums over positions."""

from typing import Any

import keras
from keras import ops

from keras_grow.keras_internals import compile_metrics
from keras_grow.keras_internals import loss_weights
from keras_grow.keras_internals import unweighted_metrics


def check_compiled(lm: Any, vocabulary_size: int) -> None:
    """Refuse a loss or metrics that need other positions' logits."""
    if lm.loss is None or isinstance(lm.loss, dict | list | tuple):
        raise ValueError(
            "`supervised_logits` needs one loss. Received: a model compiled "
            f"with loss={lm.loss!r}"
        )
    loss = keras.losses.get(lm.loss)
    if loss_weights(lm) is not None:
        raise ValueError(
            "`supervised_logits` supports no `loss_weights`. Received: "
            f"loss_weights={loss_weights(lm)}. Scale the "
            "sample weights instead."
        )
    if getattr(loss, "ignore_class", None) is not None:
        raise ValueError(
            "`supervised_logits` reads the supervised positions from the "
            "sample weights. Received a loss with ignore_class="
            f"{loss.ignore_class}. Give those positions a sample weight of "
            "zero instead."
        )
    if _reduction(loss) in (None, "none"):
        raise ValueError(
            "`fit` needs a loss that is reduced to a scalar. Received: "
            f"loss={loss!r} with reduction={_reduction(loss)!r}"
        )
    values = loss_values(loss, *_two_positions(vocabulary_size))
    if tuple(values.shape) != (2,):
        raise ValueError(
            "`supervised_logits` needs a loss with one value per position, "
            "such as "
            "`keras.losses.SparseCategoricalCrossentropy(from_logits=True)`. "
            f"Received: loss={loss!r}, whose values for 2 positions have "
            f"shape {tuple(values.shape)}"
        )
    metrics = unweighted_metrics(lm)
    if metrics:
        raise ValueError(
            "`metrics` are measured at every position, also without a sample "
            "weight, and `supervised_logits` has no logits there. "
            f"Received: metrics={metrics}. Pass them to "
            "`compile` as `weighted_metrics`."
        )


def _reduction(loss: Any) -> str | None:
    """How Keras reduces `loss`; a plain function is reduced by the default."""
    reduction: str | None = getattr(loss, "reduction", "sum_over_batch_size")
    return reduction


def build_metrics(lm: Any, vocabulary_size: int) -> None:
    """Make the metrics' variables, unless they exist already.

    On TensorFlow the first trace would otherwise be without them.
    """
    metrics = compile_metrics(lm)
    if metrics is not None and not metrics.built:
        metrics.update_state(*_two_positions(vocabulary_size))
        metrics.reset_state()


def _two_positions(vocabulary_size: int) -> tuple[Any, Any]:
    labels = ops.zeros((2,), dtype="int32")
    return labels, ops.zeros((2, vocabulary_size), dtype="float32")


def loss_values(loss: Any, labels: Any, logits: Any) -> Any:
    """One loss per position, in float32 or wider, before any reduction."""
    if not isinstance(loss, keras.losses.Loss):
        return loss(labels, logits)
    # Not in a half-precision floatx: token ids need more digits.
    dtype = loss.dtype
    if dtype in ("float16", "bfloat16"):
        dtype = "float32"
    return loss.call(ops.cast(labels, dtype), ops.cast(logits, dtype))


def reduction_scale(lm: Any, loss: Any, shape: Any, weights: Any) -> Any:
    """What Keras' reduction multiplies the sum of the weighted losses by."""
    reduction = _reduction(loss)
    if reduction == "sum":
        return 1.0
    if reduction == "mean_with_sample_weight":
        divisor = ops.sum(weights)
    else:
        # All positions, supervised or not: Keras also counts those of weight 0.
        divisor = ops.cast(
            ops.prod(ops.convert_to_tensor(shape, "int32")), "float32"
        )
    strategy = getattr(lm, "distribute_strategy", None)
    replicas = strategy.num_replicas_in_sync if strategy else 1
    return ops.divide_no_nan(1.0, divisor * replicas)

"""Logits where the loss is: `fit` without the logits that no loss reads."""

import contextlib
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_grow.training.chunks import sum_over_positions

_REPLACED = (
    "make_train_function",
    "make_test_function",
    "train_step",
    "test_step",
)


def response_only(
    lm: keras.Model, enabled: bool = True, *, chunk_size: int = 256
) -> keras.Model:
    """Train a causal language model on the logits of supervised positions only.

    Gemma's vocabulary makes the output head most of a training step, and most
    positions of a batch (prompt, padding) have a sample weight of zero. After
    this call `lm.fit`, `evaluate`, `train_on_batch` and `test_on_batch` apply
    the head at the positions whose sample weight is not zero and nowhere else.
    Loss, gradients and weighted metrics are those of the plain `fit`. Above
    `chunk_size` supervised positions the logits are made and used a chunk at a
    time, so peak memory does not grow with vocabulary x positions. How many
    positions are supervised may change from batch to batch: nothing is
    dropped, nothing is compiled again.

    The model itself is unchanged: `lm(x)`, `predict`, `generate`, `save` and
    what they return or write are the same, and so is a later `compile`.

    Args:
        lm: a KerasHub `CausalLM` whose logits are
            `backbone.token_embedding(hidden, reverse=True)`, such as Gemma and
            Gemma 3; with or without a preprocessor, grown, with LoRA or plain.
        enabled: False puts the plain training path back.
        chunk_size: the most positions whose logits exist at once. 256 of
            Gemma 3's are 268 MB in float32.

    Returns:
        `lm`, changed in place.

    Raises:
        TypeError: `lm` is not a causal language model with such a head.
        ValueError: `chunk_size` is not a positive integer. Raised by `fit`:
            the loss or the metrics need more than the supervised positions.

    Example:
        ```python
        lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_270m")
        keras_grow.response_only(lm)
        lm.fit({"prompts": prompts, "responses": responses}, batch_size=8)
        ```
    """
    _check_head(lm)
    if not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(
            "`chunk_size` must be a positive integer, the most positions "
            f"whose logits exist at once. Received: chunk_size={chunk_size!r}"
        )
    for name in _REPLACED:
        vars(lm).pop(name, None)
    if enabled:
        steps = _Steps(lm, chunk_size)
        vars(lm).update({name: getattr(steps, name) for name in _REPLACED})
    # A step that is already compiled holds the other path.
    lm.train_function = None
    lm.test_function = None
    return lm


def _check_head(lm: Any) -> None:
    """Refuse a model whose logits are not the reversed token embedding."""
    head = getattr(getattr(lm, "backbone", None), "token_embedding", None)
    outputs = getattr(lm, "outputs", None) or []
    if (
        head is None
        or len(outputs) != 1
        or outputs[0]._keras_history.operation is not head
    ):
        raise TypeError(
            "`lm` must be a KerasHub causal language model whose logits are "
            "`lm.backbone.token_embedding(hidden, reverse=True)`, such as "
            "`keras_hub.models.Gemma3CausalLM`. Received: "
            f"lm={lm!r} of type {type(lm).__name__}"
        )


@contextlib.contextmanager
def _methods(lm: keras.Model, **methods: Callable[..., Any]) -> Iterator[None]:
    """Give one model other methods for as long as a step is traced or run."""
    vars(lm).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(lm)[name]


class _Steps:
    """The train and test step of `lm`, with hidden states for outputs.

    Keras' own steps run, on each backend, with other answers to three
    questions they ask of the model: its outputs, its loss, its metrics.
    """

    def __init__(self, lm: keras.Model, chunk_size: int) -> None:
        self.lm = lm
        self.chunk_size = chunk_size

    # A step that fails on JAX takes the weights with it, so what can be
    # refused is refused while the step is made.

    def make_train_function(self, force: bool = False) -> Any:
        if force or self.lm.train_function is None:
            _check_compiled(self.lm)
        return type(self.lm).make_train_function(self.lm, force)

    def make_test_function(self, force: bool = False) -> Any:
        if force or self.lm.test_function is None:
            _check_compiled(self.lm)
        return type(self.lm).make_test_function(self.lm, force)

    def train_step(self, *arguments: Any) -> Any:
        return self._run(type(self.lm).train_step, arguments)

    def test_step(self, *arguments: Any) -> Any:
        return self._run(type(self.lm).test_step, arguments)

    def _run(self, step: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with _methods(
            self.lm,
            call=self.call,
            compute_loss=self.compute_loss,
            compute_metrics=self.compute_metrics,
        ):
            return step(self.lm, *arguments)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The hidden states, in place of the logits."""
        return self.lm.backbone(inputs, training=training, mask=mask)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss; the weighted metrics see its logits on the way."""
        lm = self.lm
        loss = keras.losses.get(lm.loss)
        metrics = lm._compile_metrics
        variables = metrics.variables if metrics else []
        head = lm.backbone.token_embedding

        shape = ops.shape(y_pred)[:-1]
        if sample_weight is None:
            sample_weight = ops.ones(shape)
        weights = ops.cast(sample_weight, "float32")
        scale = _scale(lm, loss, shape, weights)

        def term(
            hidden: Any, weights: Any, targets: list[Any], state: list[Any]
        ) -> tuple[Any, list[Any]]:
            (labels,) = targets
            # The softmax is in float32 under any compute dtype, as in Keras.
            logits = ops.cast(head(hidden, reverse=True), "float32")
            values = _loss_values(loss, labels, logits)
            total = ops.sum(values * weights) * scale
            if metrics is None:
                return total, state
            mapping = list(zip(variables, state, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                metrics.update_state(labels, logits, sample_weight=weights)
            updated = [scope.get_current_value(v) for v in variables]
            return total, updated

        total, state = sum_over_positions(
            term,
            head,
            hidden=ops.reshape(y_pred, (-1, y_pred.shape[-1])),
            weights=ops.reshape(ops.broadcast_to(weights, shape), (-1,)),
            targets=[ops.reshape(y, (-1,))],
            state=[ops.convert_to_tensor(v.value) for v in variables],
            chunk_size=self.chunk_size,
            differentiate=training,
        )
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        for extra in lm.losses:
            total = total + ops.sum(ops.cast(extra, total.dtype))
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        """What `compute_loss` has counted."""
        return self.lm.get_metrics_result()


def _check_compiled(lm: Any) -> None:
    """Refuse a loss or metrics that need other positions' logits."""
    loss = keras.losses.get(lm.loss)
    if lm._compile_loss._user_loss_weights is not None:
        raise ValueError(
            "`response_only` supports no `loss_weights`. Received: "
            f"loss_weights={lm._compile_loss._user_loss_weights}. Scale the "
            "sample weights instead."
        )
    if getattr(loss, "ignore_class", None) is not None:
        raise ValueError(
            "`response_only` reads the supervised positions from the sample "
            "weights. Received a loss with ignore_class="
            f"{loss.ignore_class}. Give those positions a sample weight of "
            "zero instead."
        )
    if _reduction(loss) in (None, "none"):
        raise ValueError(
            "`fit` needs a loss that is reduced to a scalar. Received: "
            f"loss={loss!r} with reduction={_reduction(loss)!r}"
        )
    vocabulary_size = lm.outputs[0].shape[-1]
    values = _loss_values(
        loss, ops.zeros((2,), "int32"), ops.zeros((2, vocabulary_size))
    )
    if tuple(values.shape) != (2,):
        raise ValueError(
            "`response_only` needs a loss with one value per position, such "
            "as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)`."
            f" Received: loss={loss!r}, whose values for 2 positions have "
            f"shape {tuple(values.shape)}"
        )
    metrics = lm._compile_metrics
    if metrics is not None and metrics._user_metrics:
        raise ValueError(
            "`metrics` are measured at every position, those without a sample "
            "weight too, and `response_only` has no logits there. Received: "
            f"metrics={metrics._user_metrics}. Pass them to `compile` as "
            "`weighted_metrics`."
        )


def _reduction(loss: Any) -> str | None:
    """How Keras reduces `loss`; a plain function is reduced by the default."""
    reduction: str | None = getattr(loss, "reduction", "sum_over_batch_size")
    return reduction


def _loss_values(loss: Any, labels: Any, logits: Any) -> Any:
    """One loss a position, before any reduction."""
    if isinstance(loss, keras.losses.Loss):
        return loss.call(
            ops.cast(labels, loss.dtype), ops.cast(logits, loss.dtype)
        )
    return loss(labels, logits)


def _scale(lm: Any, loss: Any, shape: Any, weights: Any) -> Any:
    """What Keras' reduction multiplies the sum of the weighted losses by."""
    reduction = _reduction(loss)
    if reduction == "sum":
        return 1.0
    if reduction == "mean_with_sample_weight":
        divisor = ops.sum(weights)
    else:
        # All positions, supervised or not: Keras counts the weightless too.
        divisor = ops.cast(ops.prod(ops.convert_to_tensor(shape)), "float32")
    strategy = getattr(lm, "distribute_strategy", None)
    replicas = strategy.num_replicas_in_sync if strategy else 1
    return ops.divide_no_nan(1.0, divisor * replicas)

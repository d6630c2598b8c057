"""The train and test step that make logits only where the loss is."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_grow.growth.compiled import methods_replaced
from keras_grow.growth.compiled import sync_part
from keras_grow.keras_internals import compile_metrics
from keras_grow.keras_internals import step_counter
from keras_grow.training.anchored_loss import AnchoredLoss
from keras_grow.training.chunks import sum_over_positions
from keras_grow.training.compiled_loss import build_metrics
from keras_grow.training.compiled_loss import check_compiled
from keras_grow.training.compiled_loss import loss_values
from keras_grow.training.compiled_loss import reduction_scale
from keras_grow.training.head import OutputHead
from keras_grow.training.token_weights import TokenWeights
from keras_grow.training.token_weights import dft_weights

# Put on the model for as long as its steps are these.
REPLACED = (
    "make_train_function",
    "make_test_function",
    "train_step",
    "test_step",
)


class Steps:
    """The train and test step of `lm`, with hidden states as outputs.

    Keras' own steps run on each backend; only the model's outputs, loss and
    metrics are replaced. Logits exist at no more than `chunk_size` positions at
    once.
    """

    def __init__(
        self,
        lm: keras.Model,
        head: OutputHead,
        chunk_size: int,
        anchored: AnchoredLoss | None,
        token_weights: TokenWeights | None = None,
    ) -> None:
        self.lm = lm
        self.head = head
        self.chunk_size = chunk_size
        self.anchored = anchored
        self.token_weights = token_weights
        self.step: Any = None

    # A step that fails on JAX loses the weights, so whatever can be refused is
    # refused while the step is made.

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' own, once the loss and the metrics are found to fit."""
        sync_part(self.lm)
        if force or self.lm.train_function is None:
            self._prepare()
        return type(self.lm).make_train_function(self.lm, force)

    def make_test_function(self, force: bool = False) -> Any:
        """Keras' own, once the loss and the metrics are found to fit."""
        sync_part(self.lm)
        if force or self.lm.test_function is None:
            self._prepare()
        return type(self.lm).make_test_function(self.lm, force)

    def _prepare(self) -> None:
        check_compiled(self.lm, self.head.vocabulary_size)
        build_metrics(self.lm, self.head.vocabulary_size)

    def train_step(self, *arguments: Any) -> Any:
        """Keras' own, of hidden states."""
        self.step = _step_number(self.lm.optimizer, arguments)
        return self._run(type(self.lm).train_step, arguments)

    def test_step(self, *arguments: Any) -> Any:
        """Keras' own, of hidden states."""
        self.step = None
        return self._run(type(self.lm).test_step, arguments)

    def _run(self, step: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        with methods_replaced(
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
        metrics = compile_metrics(lm)
        variables = metrics.variables if metrics else []

        shape = ops.shape(y_pred)[:-1]
        if sample_weight is None:
            sample_weight = ops.ones(shape, dtype="float32")
        weights = ops.cast(sample_weight, "float32")
        scale = reduction_scale(lm, loss, shape, weights)

        def term(
            hidden: Any, weights: Any, targets: list[Any], state: list[Any]
        ) -> tuple[Any, list[Any]]:
            (labels,) = targets
            # The softmax is in float32 under any compute dtype, as in Keras.
            logits = ops.cast(self.head(hidden), "float32")
            values = loss_values(loss, labels, logits)
            if self.token_weights and training:
                values = values * dft_weights(labels, logits)
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
            self.head,
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
        if self.anchored is not None and training:
            total = self.anchored.add(
                total,
                lm,
                self.head,
                self.step,
                ops.shape(y_pred)[0],
                self.chunk_size,
            )
        return total

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        """What `compute_loss` has counted."""
        logs = self.lm.get_metrics_result()
        if self.step is None and self.anchored is not None:
            # Evaluation measures the task alone.
            for metric in self.anchored.metrics:
                del logs[metric.name]
        return logs


def _step_number(optimizer: Any, arguments: tuple[Any, ...]) -> Any:
    """The number of updates so far; a resumed run continues the count."""
    # With loss scaling, the inner optimizer counts the updates.
    counter = step_counter(getattr(optimizer, "inner_optimizer", optimizer))
    if keras.config.backend() != "jax":
        return ops.convert_to_tensor(counter)
    # On JAX the variables hold no values while a step runs: its state does.
    _, _, optimizer_variables, _ = arguments[0]
    for variable, value in zip(
        optimizer.variables, optimizer_variables, strict=True
    ):
        if variable is counter:
            return value
    raise RuntimeError(
        "Expected the optimizer's variables to include its step counter. "
        f"Received: {optimizer!r}"
    )

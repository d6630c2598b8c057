"""The anchor's part of the loss in a training step."""

from typing import Any

import keras
from keras import ops

from keras_grow.growth.text_inputs import text_inputs
from keras_grow.keras_internals import own_metrics
from keras_grow.training.anchor import KLAnchor
from keras_grow.training.chunks import sum_over_positions
from keras_grow.training.divergence import bucketed_log_probs
from keras_grow.training.divergence import divergence
from keras_grow.training.divergence import without
from keras_grow.training.head import OutputHead


class _AnchorLoss(keras.metrics.Mean):
    """The mean divergence, and what it is measured on.

    The arrays live in a metric's variables: the only kind of state that every
    backend passes to a compiled step and that no checkpoint contains. (On JAX,
    arrays that a step merely refers to become constants of the program.)
    """

    def __init__(self, anchor: KLAnchor) -> None:
        super().__init__(name="anchor_loss", dtype="float32")
        self.arrays = {
            name: self.add_variable(
                shape=array.shape,
                initializer=lambda shape, dtype, array=array: (
                    ops.convert_to_tensor(array, dtype)
                ),
                dtype="int32" if array.dtype.kind in "bi" else "float32",
                name=name,
            )
            for name, array in anchor.arrays.items()
        }

    def reset_state(self) -> None:
        self.total.assign(0)
        self.count.assign(0)


class AnchoredLoss:
    """Adds the divergence from the base to a task's loss."""

    def __init__(self, anchor: KLAnchor) -> None:
        self.anchor = anchor
        self.task_loss = _TaskLoss(name="task_loss", dtype="float32")
        self.anchor_loss = _AnchorLoss(anchor)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The parts of the loss as `fit` logs them."""
        return [self.task_loss, self.anchor_loss]

    def attach(self, lm: keras.Model) -> None:
        """Let `lm` report and reset the parts of the loss."""
        own_metrics(lm).extend(self.metrics)

    @staticmethod
    def detach(lm: keras.Model) -> None:
        """Remove what any `attach` has added."""
        metrics = own_metrics(lm)
        metrics[:] = [
            metric
            for metric in metrics
            if not isinstance(metric, _AnchorLoss | _TaskLoss)
        ]

    def add(
        self,
        task_loss: Any,
        lm: Any,
        head: OutputHead,
        step: Any,
        rows: Any,
        chunk_size: int,
    ) -> Any:
        """The loss of a training step: `task_loss + weight * divergence`.

        `step`, the number of updates so far, chooses the passages. `rows` of
        the task's batch weigh this step in the logs as Keras weighs its loss.
        Logits exist at no more than `chunk_size` positions at once.
        """
        arrays = self._batch(step)
        hidden = lm.backbone(text_inputs(lm.backbone, arrays), training=True)
        weights = arrays.get("weights", arrays["padding_mask"])
        weights = ops.reshape(ops.cast(weights, "float32"), (-1,))
        weights = ops.divide_no_nan(weights, ops.sum(weights))

        def term(
            hidden: Any, weights: Any, targets: list[Any], state: list[Any]
        ) -> tuple[Any, list[Any]]:
            indices, base, *labels = targets
            logits = head(hidden)
            if labels:
                logits = without(logits, *labels)
            model = bucketed_log_probs(logits, indices)
            values = divergence(base, model, self.anchor.direction)
            return ops.sum(weights * values), state

        value, _ = sum_over_positions(
            term,
            head,
            hidden=ops.reshape(hidden, (-1, hidden.shape[-1])),
            weights=weights,
            targets=[
                ops.reshape(arrays[name], (-1, *arrays[name].shape[2:]))
                for name in ("indices", "log_probs", "labels")
                if name in arrays
            ],
            chunk_size=chunk_size,
        )
        self.task_loss.update_state(
            ops.stop_gradient(task_loss), sample_weight=rows
        )
        self.anchor_loss.update_state(
            ops.stop_gradient(value), sample_weight=rows
        )
        return task_loss + self.anchor.weight * value

    def _batch(self, step: Any) -> dict[str, Any]:
        """The passages of a step, taken in turn."""
        variables = self.anchor_loss.arrays
        passages = variables["token_ids"].shape[0]
        size = self.anchor.batch_size
        start = (ops.cast(step, "int32") % passages) * size
        rows = (start + ops.arange(size, dtype="int32")) % passages
        return {
            name: ops.take(ops.convert_to_tensor(variable), rows, axis=0)
            for name, variable in variables.items()
        }


class _TaskLoss(keras.metrics.Mean):
    """The loss without the anchor's part."""

"""Decay toward the weights that training started from."""

import keras
from keras import ops

from keras_grow.keras_internals import step_counter


class L2SP(keras.callbacks.Callback):
    """Pull the trainable weights toward their values before training.

    The decoupled form of L2-SP (Li et al., 2018, arXiv 1802.01483): after each
    update every trainable variable `w`, which started at `w0`, becomes

        w - learning_rate * rate * (w - w0)

    where ordinary weight decay would pull toward zero. In a grown model it
    pulls the new slices toward the copies that preserve the base's function.
    The starting values are copied when the callback is made: one copy of the
    trainable variables and nothing else. A run resumed from a checkpoint still
    decays to the original start if you make the callback before the checkpoint
    is restored.

    Args:
        model: the compiled model that will be trained.
        rate: share of the distance per unit of learning rate, as
            `weight_decay` in `keras.optimizers.AdamW`.

    Raises:
        ValueError: `rate` is not positive.

    Example:

    ```python
    decay = keras_grow.L2SP(lm, rate=0.1)
    lm.fit(data, callbacks=[decay])
    ```
    """

    def __init__(self, model: keras.Model, rate: float = 0.01) -> None:
        super().__init__()
        if not rate > 0:
            raise ValueError(
                "`rate` must be positive, the share of the distance to the "
                f"start per unit of learning rate. Received: rate={rate}"
            )
        self.rate = rate
        self.start = [
            (variable, ops.copy(ops.stop_gradient(variable.value)))
            for variable in model.trainable_variables
        ]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Refuse a model that the starting values do not belong to."""
        known = {id(variable) for variable, _ in self.start}
        trained = {id(variable) for variable in self.model.trainable_variables}
        if known != trained:
            raise ValueError(
                "The model's trainable variables are not those that it had "
                "when `L2SP` was made. Received: "
                f"{len(trained)} trainable variables, {len(known)} starting "
                "values. Make the callback after growing, adding LoRA or "
                "freezing, and pass it the model that is trained."
            )
        if self.model.steps_per_execution != 1:
            raise ValueError(
                "`L2SP` acts after every update. Received a model "
                "compiled with steps_per_execution="
                f"{self.model.steps_per_execution}. Use 1."
            )

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Move every variable toward its start."""
        if keras.config.backend() == "jax":
            # Between batches the trainer holds the values.
            self.model.jax_state_sync()
        # With loss scaling, the inner optimizer counts the updates.
        outer = self.model.optimizer
        optimizer = getattr(outer, "inner_optimizer", outer)
        accumulated = optimizer.gradient_accumulation_steps or 1
        if accumulated > 1 and int(step_counter(optimizer)) % accumulated:
            return
        share = self.rate * ops.cast(optimizer.learning_rate, "float32")
        for variable, start in self.start:
            value = ops.stop_gradient(variable.value)
            step = ops.cast(share, value.dtype) * (value - start)
            variable.assign(value - step)

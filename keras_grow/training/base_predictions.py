"""What the base of a model predicts."""

import contextlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.switch import is_switchable
from keras_grow.growth.text_inputs import text_inputs
from keras_grow.training.divergence import likeliest
from keras_grow.training.divergence import without
from keras_grow.training.head import OutputHead


def base_of(lm: keras.Model) -> contextlib.AbstractContextManager[Any]:
    """A context in which a model is its base: any growth is off."""
    if is_switchable(lm):
        return growth_disabled(lm)
    return contextlib.nullcontext()


def base_predictions(
    lm: Any, inputs: dict[str, np.ndarray], top_k: int
) -> dict[str, np.ndarray]:
    """The base's `indices` and `log_probs` at every position of `inputs`.

    Those of `labels` among the inputs, if there are any, are left out.
    """
    with base_of(lm):
        # One passage at a time: its logits may be large.
        predictions: dict[str, np.ndarray] = _Reader(lm, top_k).predict(
            inputs, batch_size=1, verbose=0
        )
    return predictions


class _Reader(keras.Model):
    """A backbone whose outputs are its likeliest next tokens."""

    def __init__(self, lm: Any, top_k: int) -> None:
        super().__init__(name="reader")
        self.backbone = lm.backbone
        self.head = OutputHead(lm)
        self.top_k = top_k

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        hidden = self.backbone(text_inputs(self.backbone, inputs))
        shape = ops.shape(hidden)[:-1]
        logits = self.head(ops.reshape(hidden, (-1, hidden.shape[-1])))
        if "labels" in inputs:
            labels = ops.reshape(inputs["labels"], (-1,))
            logits = without(logits, labels)
        indices, log_probs = likeliest(logits, self.top_k)
        return {
            "indices": ops.reshape(indices, (*shape, self.top_k)),
            "log_probs": ops.reshape(log_probs, (*shape, self.top_k + 1)),
        }

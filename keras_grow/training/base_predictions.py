"""What the base of a model predicts."""

import contextlib
from collections.abc import Callable
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


def as_base(lm: keras.Model) -> contextlib.AbstractContextManager[Any]:
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

    def predict(logits: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        if "labels" in inputs:
            labels = ops.reshape(inputs["labels"], (-1,))
            logits = without(logits, labels)
        indices, log_probs = likeliest(logits, top_k)
        return {"indices": indices, "log_probs": log_probs}

    predictions: dict[str, np.ndarray] = read_base(lm, inputs, predict)
    return predictions


def read_base(
    lm: Any, inputs: dict[str, np.ndarray], function: Callable[..., Any]
) -> Any:
    """What a function makes of the base's logits, arrays `[N, S, ...]`.

    `inputs` are `token_ids`, `padding_mask` and whatever else the function
    needs, `[N, S]`. The function takes logits `[positions, vocabulary]` and the
    inputs as tensors; its results begin with the axis of positions.
    """
    with as_base(lm):
        # One row at a time: its logits may be large.
        return _Reader(lm, function).predict(inputs, batch_size=1, verbose=0)


class _Reader(keras.Model):
    """A backbone whose outputs are what a function makes of its logits."""

    def __init__(self, lm: Any, function: Callable[..., Any]) -> None:
        super().__init__(name="reader")
        self.backbone = lm.backbone
        self.head = OutputHead(lm)
        self.function = function

    def call(self, inputs: dict[str, Any]) -> Any:
        hidden = self.backbone(text_inputs(self.backbone, inputs))
        shape = ops.shape(hidden)[:-1]
        logits = self.head(ops.reshape(hidden, (-1, hidden.shape[-1])))
        return keras.tree.map_structure(
            lambda each: ops.reshape(each, (*shape, *each.shape[1:])),
            self.function(logits, inputs),
        )

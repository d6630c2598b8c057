"""What a model predicts without the growth that trains.

That is its base; for a growth that lies on others, the base with those active,
at the scales that it lies on: it is held to all that was learned before.
"""

import contextlib
import hashlib
import weakref
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_grow.growth.dial import dial_restored
from keras_grow.growth.scale import set_growths
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import growths_of
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.switch import is_switchable
from keras_grow.growth.text_inputs import check_reads_text
from keras_grow.growth.text_inputs import text_inputs
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.fingerprint import growth_fingerprint
from keras_grow.training.divergence import likeliest
from keras_grow.training.divergence import without
from keras_grow.training.head import OutputHead


@contextlib.contextmanager
def as_base(lm: keras.Model) -> Iterator[None]:
    """Let a model compute what the growth that trains lies on."""
    beneath = beneath_of(lm)
    if beneath:
        with dial_restored(lm):
            set_growths(lm, beneath)
            yield
    elif is_switchable(lm):
        with growth_disabled(lm):
            yield
    else:
        yield


def beneath_of(lm: keras.Model) -> dict[str, float]:
    """The growths that the one that trains lies on, and their scales."""
    growths = growths_of(lm)
    return dict(growths[-1].beneath) if growths else {}


class KnownModel:
    """A model whose predictions are kept; it may train since."""

    def __init__(self, backbone: keras.Model) -> None:
        self._backbone = weakref.ref(backbone)
        self._beneath = beneath_of(backbone)

    def is_still(self, backbone: keras.Model) -> bool:
        """Whether `as_base` of this backbone computes what was kept."""
        same = self._backbone() is backbone
        return same and self._beneath == beneath_of(backbone)


def fingerprint_as_base(lm: keras.Model) -> str:
    """Digest of every weight of what `as_base` computes."""
    base = base_fingerprint(lm)
    beneath = beneath_of(lm)
    if not beneath:
        return base
    state = ModelState.of(lm)
    parts = [(growth_fingerprint(state, n), s) for n, s in beneath.items()]
    return hashlib.sha256(repr((base, parts)).encode()).hexdigest()


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
    check_reads_text(lm.backbone)
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
        # Or `predict` would first run it operation by operation on JAX.
        self.built = True

    def call(self, inputs: dict[str, Any]) -> Any:
        hidden = self.backbone(text_inputs(self.backbone, inputs))
        shape = ops.shape(hidden)[:-1]
        logits = self.head(ops.reshape(hidden, (-1, hidden.shape[-1])))
        return keras.tree.map_structure(
            lambda each: ops.reshape(each, (*shape, *each.shape[1:])),
            self.function(logits, inputs),
        )

"""Weights of tokens by how likely a model finds them."""

from typing import Any
from typing import Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.growth.text_inputs import text_inputs
from keras_grow.training.base_predictions import base_of
from keras_grow.training.head import OutputHead

TokenWeights = Literal["dft"]


def label_log_probs(labels: Any, logits: Any) -> Any:
    """The log-probability of each label.

    Args:
        labels: int tensor of shape `(positions,)`.
        logits: float tensor of shape `(positions, vocabulary)`.

    Returns:
        Float32 tensor of shape `(positions,)`.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.cast(labels, "int32")[:, None]
    of_labels = ops.take_along_axis(logits, labels, axis=-1)[:, 0]
    return of_labels - ops.logsumexp(logits, axis=-1)


def dft_weights(labels: Any, logits: Any) -> Any:
    """Each token's own probability, without a gradient.

    Dynamic fine-tuning (Wu et al. 2025, "On the Generalization of SFT", arXiv
    2508.05629) multiplies the loss of a token by it, so that the gradient of a
    token is that of its probability: unlikely ones pull no harder than others.
    """
    logits = ops.stop_gradient(logits)
    return ops.exp(label_log_probs(labels, logits))


def mask_unlikely(
    lm: keras.Model,
    x: dict[str, NDArray[Any]],
    y: NDArray[Any],
    sample_weight: NDArray[Any],
    perplexity: float,
) -> NDArray[Any]:
    """Sample weights without the tokens that the base finds unlikely.

    Selective token masking (Wu et al. 2025, "Mitigating Forgetting in LLM
    Fine-Tuning via Low-Perplexity Token Learning", arXiv 2501.14315).

    Args:
        lm: the model, before it trains; of a grown one, its base is asked.
        x: token ids and padding mask of shape `(rows, length)`.
        y: next tokens, of the same shape.
        sample_weight: of the same shape.
        perplexity: the highest of a token that is kept, one over the
            probability that the base gives it.

    Returns:
        `sample_weight`, and zero where a token is above `perplexity`.
    """
    with base_of(lm):
        # One row at a time: its logits may be large.
        log_probs = _LabelReader(lm).predict(
            {**x, "labels": y}, batch_size=1, verbose=0
        )
    kept: NDArray[Any] = sample_weight * (-log_probs <= np.log(perplexity))
    return kept


class _LabelReader(keras.Model):
    """A backbone whose outputs are the log-probabilities of labels."""

    def __init__(self, lm: Any) -> None:
        super().__init__(name="label_reader")
        self.backbone = lm.backbone
        self.head = OutputHead(lm)

    def call(self, inputs: dict[str, Any]) -> Any:
        labels = inputs["labels"]
        hidden = self.backbone(text_inputs(self.backbone, inputs))
        logits = self.head(ops.reshape(hidden, (-1, hidden.shape[-1])))
        found = label_log_probs(ops.reshape(labels, (-1,)), logits)
        return ops.reshape(found, ops.shape(labels))

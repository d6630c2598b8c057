"""Weights of tokens by how likely a model finds them."""

from typing import Any
from typing import Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.training.base_predictions import read_base
from keras_grow.training.head import label_log_probs

TokenWeights = Literal["dft"]


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
    `perplexity` is the highest of a token that is kept, one over the
    probability that the base gives it. All arrays are `[rows, length]`; of a
    grown model, its base is asked.
    """
    log_probs = read_base(
        lm,
        {**x, "labels": y},
        lambda logits, inputs: label_log_probs(
            ops.reshape(inputs["labels"], (-1,)), logits
        ),
    )
    kept: NDArray[Any] = sample_weight * (-log_probs <= np.log(perplexity))
    return kept

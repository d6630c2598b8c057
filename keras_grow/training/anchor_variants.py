"""What stands in an anchor's place: text replayed, or rows of the task."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.training.anchor import KLAnchor
from keras_grow.training.base_predictions import base_predictions
from keras_grow.training.divergence import EXCLUDED
from keras_grow.training.passages import shuffled
from keras_grow.training.passages import token_arrays


def replay(lm: keras.Model, anchor: KLAnchor) -> KLAnchor:
    """Let an unprepared anchor hold a model to the text, not to its base.

    Its penalty becomes the mean cross-entropy of each passage's next tokens:
    the divergence of the model from distributions that are sure of them. This
    is rehearsal (Robins 1995, "Catastrophic forgetting, rehearsal and
    pseudorehearsal").
    """
    inputs = token_arrays(anchor.passages, lm, anchor.length)
    inputs = shuffled(inputs, anchor.seed)
    ids, mask = inputs["token_ids"], inputs["padding_mask"]
    following = np.roll(ids, -1, axis=1)
    known = mask & np.roll(mask, -1, axis=1)
    known[:, -1] = False
    sure = np.zeros((*ids.shape, 2), "float32")
    sure[..., 1] = EXCLUDED
    anchor.arrays = {
        "token_ids": ids,
        "padding_mask": mask,
        "indices": following[..., None],
        "log_probs": sure,
        "weights": known.astype("float32"),
    }
    return anchor


def target_masked(
    lm: keras.Model,
    x: dict[str, NDArray[Any]],
    y: NDArray[Any],
    sample_weight: NDArray[Any],
    **options: Any,
) -> KLAnchor:
    """An anchor on rows `[N, S]` of the task, their labels left out.

    At each supervised position the label is taken out of the predictions of the
    base and of the model, and what is left is scaled to one: the model is held
    to what the base thinks of the alternatives, and is free to learn the label.
    No other text is needed (Xu et al. 2026, "Mask the Target", arXiv
    2605.29498, which does so on the rows of the update itself). `lm` is the
    model before it trains.
    """
    anchor = KLAnchor(x, **options)
    inputs = shuffled(
        {**x, "labels": y.astype("int32"), "weights": sample_weight},
        anchor.seed,
    )
    weights = (inputs.pop("weights") != 0).astype("float32")
    anchor.arrays = {
        **inputs,
        **base_predictions(lm, inputs, anchor.top_k),
        "weights": weights,
    }
    return anchor

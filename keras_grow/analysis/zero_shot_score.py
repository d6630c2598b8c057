"""Test a function vector: does it make a model do its task?"""

from typing import Any
from typing import NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.analysis.blocks import Blocks
from keras_grow.analysis.blocks import at
from keras_grow.analysis.blocks import without_gradients
from keras_grow.analysis.prompts import PromptBatch


class ZeroShot(NamedTuple):
    """How well a model answers questions with no example.

    Attributes:
        accuracy: how often the likeliest next token is the answer's first.
        log_probability: mean log-probability of the answer's first token, in
            nats.
    """

    accuracy: float
    log_probability: float


def zero_shot(
    lm: Any,
    prompts: PromptBatch,
    vector: NDArray[Any] | None = None,
    layer: int | None = None,
    batch_size: int = 16,
) -> ZeroShot:
    """How well a model answers with no example, steered by a vector or not.

    With a function vector added to the residual stream after block `layer`, at
    the last token, this is the check of section 2.3 of arXiv 2310.15213: a
    vector that carries the task makes the model do it with no example. In that
    paper, with models of 6B parameters and more, a layer at about a third of
    the depth works best. In a small model that hardly does the task with
    examples, log-probabilities move before answers do.

    Args:
        lm: a KerasHub Gemma 1, 2 or 3, Llama, Mistral, Qwen 2.5 or Qwen 3,
            task or backbone, grown or not.
        prompts: prompts with no example, see `task_prompts`.
        vector: array of shape `(hidden,)`. Defaults to `None`: no steering.
        layer: index of the block after which to add it.
        batch_size: prompts per pass. Defaults to 16.

    Returns:
        A tuple: `accuracy`, how often the likeliest next token is the
        answer's first, and `log_probability`, the mean log-probability of
        that token in nats.

    Raises:
        ValueError: if only one of `vector` and `layer` is given, or they do
            not fit the model.
    """
    blocks = Blocks(lm)
    hidden = blocks.backbone.hidden_dim
    if (vector is None) != (layer is None):
        raise ValueError(
            "Expected `vector` and `layer` together, or neither. Received: "
            f"vector={vector}, layer={layer}"
        )
    if vector is not None and (
        vector.shape != (hidden,) or layer not in range(len(blocks))
    ):
        raise ValueError(
            f"Expected `vector` of shape ({hidden},) and `layer` "
            f"from 0 to {len(blocks) - 1}. Received: shape {vector.shape}, "
            f"layer={layer}"
        )
    right, total = 0, 0.0
    for start in range(0, len(prompts), batch_size):
        rows = slice(start, start + batch_size)
        last = prompts.lengths[rows] - 1
        mask = ops.convert_to_tensor(prompts.padding_mask[rows], "int32")
        is_last = np.arange(mask.shape[1])[None, :] == last[:, None]
        with without_gradients():
            x = blocks.embed(prompts.token_ids[rows])
            for index in range(len(blocks)):
                x = blocks.run(index, x, padding_mask=mask)
                if index == layer:
                    x = x + ops.cast(is_last[..., None] * vector, x.dtype)
            logs, likeliest = blocks.log_probabilities(
                at(x, last), prompts.targets[rows]
            )
        right += int(np.sum(likeliest == prompts.targets[rows]))
        total += float(np.sum(logs, dtype="float64"))
    return ZeroShot(right / len(prompts), total / len(prompts))

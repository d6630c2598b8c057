"""What each attention head does: mean activations and activation patching."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.analysis.blocks import Blocks
from keras_grow.analysis.blocks import as_array
from keras_grow.analysis.blocks import at
from keras_grow.analysis.blocks import without_gradients
from keras_grow.analysis.prompts import PromptBatch
from keras_grow.evaluation.progress import ProgressCallback


@dataclass(frozen=True)
class HeadMeans:
    """The mean output of every head at the last token of some prompts.

    Args:
        activations: array of shape `(layers, heads, head_dim)`, before the
            output projection: what is patched in.
        contributions: array of shape `(layers, heads, hidden)`: what the head
            adds to the residual stream. Over the heads of a layer they sum to
            what its attention adds. In Gemma 2 and 3 that includes the norm
            after the attention, with the scale that it had in each prompt.
    """

    activations: NDArray[Any]
    contributions: NDArray[Any]


def mean_head_activations(
    lm: Any,
    prompts: PromptBatch,
    batch_size: int = 16,
    progress: ProgressCallback | None = None,
) -> HeadMeans:
    """Average the output of every head at the last token of clean prompts.

    Section 2.2 of arXiv 2310.15213, appendix B of arXiv 2603.08647. The model
    is not altered. Cost: a forward pass of the prompts without the logits.

    Args:
        lm: a KerasHub Gemma 1, 2 or 3, Llama, Mistral, Qwen 2.5 or Qwen 3,
            task or backbone, grown or not.
        prompts: the clean prompts.
        batch_size: prompts per pass. Defaults to 16.
        progress: called with the prompts done and their total.

    Returns:
        `HeadMeans`, in float32.

    Raises:
        ValueError: if `lm` is of another family.

    Example:

    ```python
    from keras_grow.analysis.causal_heads import mean_head_activations

    means = mean_head_activations(lm, drawn.clean)
    means.activations.shape  # (18, 4, 256)
    ```
    """
    blocks = Blocks(lm)
    activations: list[NDArray[Any]] = []
    contributions: list[NDArray[Any]] = []
    for start in range(0, len(prompts), batch_size):
        rows = slice(start, start + batch_size)
        last = prompts.lengths[rows] - 1
        mask = ops.convert_to_tensor(prompts.padding_mask[rows], "int32")
        heads: list[NDArray[Any]] = []

        def keep(
            x: Any, last: NDArray[Any] = last, heads: list[NDArray[Any]] = heads
        ) -> Any:
            heads.append(as_array(at(x, last)))
            return x

        with without_gradients():
            x = blocks.embed(prompts.token_ids[rows])
            for index in range(len(blocks)):
                x = blocks.run(index, x, keep, padding_mask=mask)
        activations.append(np.stack(heads, axis=1))
        contributions.append(
            np.stack(
                [blocks.contribution(i, h) for i, h in enumerate(heads)],
                axis=1,
            )
        )
        if progress is not None:
            progress(min(start + batch_size, len(prompts)), len(prompts))
    return HeadMeans(
        np.concatenate(activations).mean(axis=0),
        np.concatenate(contributions).mean(axis=0),
    )


def causal_indirect_effects(
    lm: Any,
    prompts: PromptBatch,
    activations: NDArray[Any],
    heads_per_batch: int = 128,
    progress: ProgressCallback | None = None,
) -> NDArray[Any]:
    """Patch one head at a time and see how much likelier the answer gets.

    `CIE[i, l, j] = p(answer | prompt i, head j of layer l put to its mean) -
    p(answer | prompt i)`, the head being patched at the last token (section
    2.2 of arXiv 2310.15213). Its mean over prompts is the average indirect
    effect. The model is not altered.

    A patch at the last token changes nothing before it. So a prompt is read
    once, its keys and values are kept, and only its last token is run again:
    one row of a batch for each head. Without a patch this equals the full
    forward pass to within rounding (about 1e-6 in float32); each batch also
    holds an unpatched row to compare with.

    Cost: for each prompt, one forward pass, and one more token per head.

    Args:
        lm: a KerasHub Gemma 1, 2 or 3, Llama, Mistral, Qwen 2.5 or Qwen 3,
            task or backbone, grown or not.
        prompts: the corrupted prompts.
        activations: array of shape `(layers, heads, head_dim)`, see
            `HeadMeans`.
        heads_per_batch: heads patched in one pass; fewer take less memory.
            Defaults to 128.
        progress: called with the heads patched and their total over prompts.

    Returns:
        Array of shape `(prompts, layers, heads)`, in float64.

    Raises:
        ValueError: if `lm` is of another family, or the shape of the
            activations is not that of its heads.

    Example:

    ```python
    from keras_grow.analysis.causal_heads import causal_indirect_effects

    effects = causal_indirect_effects(lm, drawn.corrupted, means.activations)
    average = effects.mean(axis=0)
    ```
    """
    blocks = Blocks(lm)
    shape = blocks.shape
    if activations.shape != shape:
        raise ValueError(
            "Expected the mean activation of every head of the model, of "
            f"shape {shape}. Received: shape {activations.shape}"
        )
    heads = list(np.ndindex(*shape[:2]))
    effects = np.zeros((len(prompts), *shape[:2]))
    for i in range(len(prompts)):
        with without_gradients():
            inputs, caches = _read(blocks, prompts.token_ids[i : i + 1])
            for start in range(0, len(heads), heads_per_batch):
                batch = heads[start : start + heads_per_batch]
                probabilities = _patched_probabilities(
                    blocks,
                    inputs,
                    caches,
                    int(prompts.lengths[i]) - 1,
                    int(prompts.targets[i]),
                    activations,
                    batch,
                )
                layers, columns = np.transpose(batch)
                effects[i, layers, columns] = (
                    probabilities[1:] - probabilities[0]
                )
                if progress is not None:
                    done = i * len(heads) + start + len(batch)
                    progress(done, len(prompts) * len(heads))
    return effects


def _read(
    blocks: Blocks, token_ids: NDArray[Any]
) -> tuple[list[Any], list[Any]]:
    """The input and the keys and values of every block for one prompt."""
    x = blocks.embed(token_ids)
    inputs, caches = [], []
    for index in range(len(blocks)):
        inputs.append(x)
        empty = blocks.empty_cache(x)
        x, cache = blocks.run(index, x, cache=empty, cache_update_index=0)
        caches.append(cache)
    return inputs, caches


def _patched_probabilities(
    blocks: Blocks,
    inputs: list[Any],
    caches: list[Any],
    position: int,
    target: int,
    activations: NDArray[Any],
    heads: list[tuple[int, ...]],
) -> NDArray[Any]:
    """Probability of the target: unpatched first, then with each head."""
    rows = len(heads) + 1
    first = heads[0][0]
    x = inputs[first][:, position : position + 1]
    x = ops.repeat(x, rows, axis=0)
    for layer in range(first, len(blocks)):
        is_patched = np.zeros((rows, 1, activations.shape[1], 1), bool)
        for row, (patched_layer, head) in enumerate(heads, start=1):
            is_patched[row, 0, head, 0] = patched_layer == layer

        def patch(
            outputs: Any,
            is_patched: NDArray[Any] = is_patched,
            mean: NDArray[Any] = activations[layer],
        ) -> Any:
            return ops.where(
                is_patched, ops.cast(mean[None, None], outputs.dtype), outputs
            )

        cache = keras.tree.map_structure(
            lambda t: ops.repeat(t, rows, axis=0), caches[layer]
        )
        x, _ = blocks.run(
            layer, x, patch, cache=cache, cache_update_index=position
        )
    logs, _ = blocks.log_probabilities(x[:, 0], np.full(rows, target))
    probabilities: NDArray[Any] = np.exp(logs.astype("float64"))
    return probabilities

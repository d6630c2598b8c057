"""Running the blocks of a Gemma by hand, with a view of its heads.

Nothing of the model is replaced, not even for a moment: KerasHub's own `call`
of a block and of its attention are run on stand-ins that have the layers'
attributes, except that the outputs of the heads pass through a function on
their way to the output projection.
"""

import contextlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_grow.growth import families
from keras_grow.growth.state import check_only_mlps
from keras_grow.selection.kernels import Array

Tensor = Any
EditHeads = Callable[[Tensor], Tensor]


class _StandIn:
    """A layer's attributes, some of them replaced; the layer is untouched."""

    def __init__(self, layer: keras.layers.Layer, **replaced: Any) -> None:
        self._layer = layer
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


def run_block(
    block: keras.layers.Layer, x: Tensor, edit_heads: EditHeads, **kwargs: Any
) -> Any:
    """Run a decoder block, its heads passing through `edit_heads`.

    Args:
        block: a Gemma or Gemma 3 decoder block.
        x: the residual stream, of shape `(batch, length, hidden)`.
        edit_heads: function of the outputs of the heads, of shape `(batch,
            length, heads, head_dim)`, that returns the like.
        **kwargs: what else the block takes: `padding_mask`, or `cache` and
            `cache_update_index`.

    Returns:
        What the block returns.
    """
    attention = block.attention

    def output_dense(heads: Tensor) -> Tensor:
        return attention.output_dense(edit_heads(heads))

    stand_in = _StandIn(attention, output_dense=output_dense)

    def attend(*args: Any, **kwargs: Any) -> Any:
        return type(attention).call(stand_in, *args, **kwargs)

    return type(block).call(_StandIn(block, attention=attend), x, **kwargs)


def gemma_of(model: Any) -> tuple[keras.Model, Sequence[keras.layers.Layer]]:
    """The backbone and blocks of a Gemma 1, 2 or 3.

    Raises:
        ValueError: if `model` is another model, or more than MLPs has grown.
    """
    backbone = families.backbone_of(model)
    known = (
        keras_hub.models.GemmaBackbone,
        keras_hub.models.Gemma3Backbone,
    )
    if not isinstance(backbone, known):
        raise ValueError(
            "Expected a Gemma 1, 2 or 3 text model. "
            f"Received: {type(backbone).__name__}"
        )
    check_only_mlps(backbone)
    return backbone, families.family_of(backbone).blocks_of(backbone)


def embed(backbone: keras.Model, token_ids: Array) -> Tensor:
    """The residual stream that enters block 0."""
    x = backbone.token_embedding(ops.convert_to_tensor(token_ids, "int32"))
    return x * ops.cast(ops.sqrt(backbone.hidden_dim), x.dtype)


def log_probabilities(
    backbone: keras.Model, x: Tensor, targets: Array
) -> tuple[Array, Array]:
    """Log-probability of target tokens, and the likeliest tokens.

    Args:
        backbone: the model.
        x: the residual stream after the last block, of shape `(batch,
            hidden)`.
        targets: token ids, of shape `(batch,)`.

    Returns:
        Two arrays of shape `(batch,)`.
    """
    x = backbone.layer_norm(x[:, None])
    logits = backbone.token_embedding(x, reverse=True)[:, 0]
    logits = ops.cast(logits, "float32")
    index = ops.convert_to_tensor(targets[:, None], "int32")
    chosen = ops.take_along_axis(logits, index, axis=1)[:, 0]
    return (
        ops.convert_to_numpy(chosen - ops.logsumexp(logits, axis=1)),
        ops.convert_to_numpy(ops.argmax(logits, axis=1)),
    )


def empty_cache(backbone: keras.Model, x: Tensor) -> Tensor:
    """A cache of one block, in the form that its class takes."""
    shape = (
        *ops.shape(x)[:2],
        backbone.num_key_value_heads,
        backbone.head_dim,
    )
    if isinstance(backbone, keras_hub.models.Gemma3Backbone):
        return ops.zeros(shape, x.dtype), ops.zeros(shape, x.dtype)
    return ops.zeros((shape[0], 2, *shape[1:]), x.dtype)


def at(x: Tensor, positions: Array) -> Tensor:
    """`x[i, positions[i]]` for every row `i`."""
    shape = (-1,) + (1,) * (len(x.shape) - 1)
    index = ops.convert_to_tensor(np.reshape(positions, shape), "int32")
    return ops.take_along_axis(x, index, axis=1)[:, 0]


def without_gradients() -> contextlib.AbstractContextManager[Any]:
    """PyTorch would otherwise keep every activation for a backward pass."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    context: contextlib.AbstractContextManager[Any] = torch.no_grad()
    return context

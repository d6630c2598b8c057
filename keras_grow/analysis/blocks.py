"""Running the blocks of a model by hand, with a view of its heads.

Nothing in the model is replaced, not even for a moment. KerasHub's own `call`
of a block and of its attention run on stand-ins that have the layers'
attributes, except that the outputs of the heads pass through a function on
their way to the output projection.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.growth import families
from keras_grow.growth.state import check_only_mlps
from keras_grow.layers.expand import BackendTensor
from keras_grow.layers.int8 import float_kernel
from keras_grow.training.head import label_log_probs

EditHeads = Callable[[BackendTensor], BackendTensor]
_models = keras_hub.models


@dataclass(frozen=True)
class _Calls:
    """How the blocks of a family are called, and with what."""

    padding_mask: str
    cache: str
    cache_update_index: str
    scaled_embedding: bool = False
    cache_is_a_pair: bool = False


_DECODER = _Calls(
    "decoder_padding_mask",
    "self_attention_cache",
    "self_attention_cache_update_index",
)
_GEMMA = ("padding_mask", "cache", "cache_update_index", True)
_CALLS = {
    _models.GemmaBackbone: _Calls(*_GEMMA),
    _models.Gemma3Backbone: _Calls(*_GEMMA, cache_is_a_pair=True),
    _models.LlamaBackbone: _DECODER,
    _models.Llama3Backbone: _DECODER,
    _models.MistralBackbone: _DECODER,
    _models.QwenBackbone: _DECODER,
    _models.Qwen3Backbone: _DECODER,
}


class _StandIn:
    """A layer's attributes, some of them replaced; the layer is untouched."""

    def __init__(self, layer: keras.layers.Layer, **replaced: Any) -> None:
        self._layer = layer
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class Blocks:
    """The blocks of a Gemma 1 to 3, Llama, Mistral or Qwen 2.5 or 3.

    Where they are and where their heads end is the family's row of data. A
    model in which more than the MLPs grew is refused.
    """

    def __init__(self, model: Any) -> None:
        self.backbone = families.backbone_of(model)
        known = [c for c in type(self.backbone).__mro__ if c in _CALLS]
        if not known:
            raise ValueError(
                "Expected a text model of the families Gemma 1, 2 or 3, Llama, "
                "Mistral, Qwen 2.5 or Qwen 3. "
                f"Received: {type(self.backbone).__name__}"
            )
        check_only_mlps(self.backbone)
        self._calls = _CALLS[known[0]]
        family = families.family_of(self.backbone)
        self._stack = family.blocks_of(self.backbone)
        self._output = family.attention[-1]
        # Layers, heads, and the size of a head.
        self.shape = (len(self._stack), *self._kernel(0).shape[:2])

    def __len__(self) -> int:
        return len(self._stack)

    def embed(self, token_ids: NDArray[Any]) -> BackendTensor:
        """The residual stream that enters block 0."""
        ids = ops.convert_to_tensor(token_ids, "int32")
        x = self.backbone.token_embedding(ids)
        if not self._calls.scaled_embedding:
            return x
        return x * ops.cast(ops.sqrt(self.backbone.hidden_dim), x.dtype)

    def run(
        self,
        index: int,
        x: BackendTensor,
        edit_heads: EditHeads | None = None,
        **inputs: Any,
    ) -> Any:
        """Run a block on the residual stream `[batch, length, hidden]`.

        `edit_heads` maps the outputs of the heads `[batch, length, heads,
        head_dim]` to the same shape.
        """
        block = self._stack[index]
        inputs = {getattr(self._calls, k): v for k, v in inputs.items()}
        if edit_heads is None:
            return block(x, **inputs)
        holder, name = self._output.rsplit(".", 1)
        attention = getattr(block, holder)
        project = getattr(attention, name)
        seen = _StandIn(
            attention, **{name: lambda heads: project(edit_heads(heads))}
        )

        def attend(*args: Any, **kwargs: Any) -> Any:
            return type(attention).call(seen, *args, **kwargs)

        stand_in = _StandIn(block, **{holder: attend})
        return type(block).call(stand_in, x, **inputs)

    def empty_cache(self, x: BackendTensor) -> BackendTensor:
        """An empty cache of one block, in the form that its class takes."""
        rows, length = ops.shape(x)[:2]
        shape = length, self.backbone.num_key_value_heads, self.shape[2]
        if self._calls.cache_is_a_pair:
            pair = [ops.zeros((rows, *shape), x.dtype) for _ in range(2)]
            return tuple(pair)
        return ops.zeros((rows, 2, *shape), x.dtype)

    def contribution(self, index: int, heads: NDArray[Any]) -> NDArray[Any]:
        """What each head adds to the residual stream `[batch, heads, hidden]`.

        `heads` are the outputs of the heads `[batch, heads, head_dim]`.
        """
        block = self._stack[index]
        added: NDArray[Any] = np.einsum(
            "bnh,nhd->bnd", heads, self._kernel(index)
        )
        if not getattr(block, "use_post_attention_norm", False):
            return added
        norm = block.post_attention_norm
        total = added.sum(axis=1, keepdims=True)
        square = np.mean(total**2, axis=-1, keepdims=True)
        gain = (1.0 + as_array(norm.scale)) / np.sqrt(square + norm.epsilon)
        scaled: NDArray[Any] = added * gain
        return scaled

    def log_probabilities(
        self, x: BackendTensor, targets: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Log-probability of target tokens `[batch]`, and the likeliest tokens.

        `x` is the residual stream after the last block `[batch, hidden]`.
        """
        x = self.backbone.layer_norm(x[:, None])
        logits = self.backbone.token_embedding(x, reverse=True)[:, 0]
        logits = ops.cast(logits, "float32")
        labels = ops.convert_to_tensor(targets, "int32")
        return (
            ops.convert_to_numpy(label_log_probs(labels, logits)),
            ops.convert_to_numpy(ops.argmax(logits, axis=1)),
        )

    def _kernel(self, index: int) -> NDArray[Any]:
        """Kernel of the output projection, `(heads, head_dim, hidden)`."""
        holder, name = families.holder_of(self._stack[index], self._output)
        return as_array(float_kernel(getattr(holder, name)))


def as_array(x: Any) -> NDArray[Any]:
    """A tensor as an array of float32."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))


def at(x: BackendTensor, positions: NDArray[Any]) -> BackendTensor:
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

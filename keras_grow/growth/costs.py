"""What a training step costs, as arithmetic on the shape of a model.

Weight matrix products and attention scores are counted, two operations per
multiply-add; norms, embedding lookups and activations are not. Symbols: `A`
attention weights of a block, `M` weights of its MLP, `E` weights of the output
head, `s` score operations of a block for one token, `k` the factor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import keras

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.growth.lora import lora_variables
from keras_grow.keras_internals import embedding_variable
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import kernel_variable
from keras_grow.layers.growable_dense import base_layer_of

_INT8_SCALES = ("kernel_scale", "embeddings_scale", "reverse_embeddings_scale")
ADAM_BYTES = 12  # gradient and two moments in float32, beside the weight


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a base model that its costs depend on, in weights.

    `attention` is the average of a block outside its MLP: its attention, and
    the experts beside a shared one. `up` and `down` are of one block. `head` is
    the output head, tied to the embedding or not. `heads_dim` is the number of
    query heads times their dimension.
    """

    num_blocks: int
    attention: float
    up: int
    down: int
    head: int
    heads_dim: int
    parameters: int

    @property
    def mlp(self) -> int:
        """Weights of the MLP of a block."""
        return self.up + self.down

    @property
    def matrices(self) -> float:
        """Weights that a token is multiplied with."""
        return self.head + self.num_blocks * (self.attention + self.mlp)

    @classmethod
    def of(cls, backbone: keras.Model, family: Family) -> "ModelShape":
        """Read the shape of a backbone, grown or not, from its variables.

        No value is read, so the backbone may be one of
        `keras_grow.distribution.shapes_only`, without memory for its weights.
        """
        blocks = family.blocks_of(backbone)
        stored = [
            [kernel_variable(base_layer_of(x)) for x in family.mlp_of(block)]
            for block in blocks
        ]
        mlp = {id(kernel) for kernels in stored for kernel in kernels}
        kernels = stored[0]
        added = {
            id(weight)
            for layer in flatten_layers(backbone)
            for new in getattr(layer, "slices", ())
            for weight in new.weights
        }
        added |= {id(weight) for weight in lora_variables(backbone)}
        weights = [
            w
            for w in backbone.weights
            if id(w) not in added and is_parameter(w)
        ]
        base = {id(w) for w in weights} - mlp
        attention = sum(
            size(w)
            for block in blocks
            for w in block.weights
            if len(w.shape) > 1 and id(w) in base
        )
        heads = attrgetter(family.heads)(backbone)
        # Llama and others have no `head_dim`; Mistral's is None.
        hidden = kernels[-1].shape[1]
        head_dim = getattr(backbone, "head_dim", None) or hidden // heads
        return cls(
            num_blocks=len(blocks),
            attention=attention / len(blocks),
            up=sum(size(kernel) for kernel in kernels[:-1]),
            down=size(kernels[-1]),
            head=size(embedding_variable(family.embedding_of(backbone))),
            heads_dim=heads * head_dim,
            parameters=sum(size(w) for w in weights),
        )


def new_parameters(shape: ModelShape, config: GrowthConfig) -> int:
    """Parameters that a growth adds, all of which train at first."""
    each = {
        "g_freeze": (config.factor - 1) * shape.mlp,
        "g_freeze_up": (config.factor - 1) * shape.up,
        "g_train": config.factor * shape.up,
    }
    return each[config.strategy] * len(config.layers)


def forward_flops(
    shape: ModelShape,
    growths: Sequence[GrowthConfig] = (),
    length: int = 512,
    supervised: float = 1.0,
) -> float:
    """Operations of a forward pass, per token of a sequence of `length`."""
    extra = sum(
        _extra_width(shape, growths, block) for block in range(shape.num_blocks)
    )
    blocks = shape.num_blocks * (shape.attention + shape.mlp)
    scores = shape.num_blocks * _scores(shape, length)
    return 2 * (supervised * shape.head + blocks + extra) + scores


def _extra_width(
    shape: ModelShape, growths: Sequence[GrowthConfig], block: int
) -> int:
    """Weights that growths add to each token's path through a block."""
    width, newer = 0, False
    for growth in reversed([g for g in growths if block in g.layers]):
        width += (growth.factor - 1) * shape.up
        if growth.strategy == "g_freeze":
            width += (growth.factor - 1) * shape.down
            newer = True
        elif newer:
            # Folded copies pass the base's down-projection together with the
            # base, but for those below a newer growth that has its own.
            width += shape.down
    return width


def sft_step_flops(
    shape: ModelShape, length: int = 512, supervised: float = 1.0
) -> float:
    """Operations per token of a training step of the whole model."""
    return 3 * forward_flops(shape, (), length, supervised)


def growth_step_flops(
    shape: ModelShape,
    growths: Sequence[GrowthConfig],
    length: int = 512,
    supervised: float = 1.0,
) -> float:
    """Operations per token, forward and backward, of a step of a grown model.

    The last growth trains. Nothing below its lowest block needs a backward
    pass. `length` is in tokens; `supervised` is the share of the positions
    whose logits are computed.
    """
    last = growths[-1]
    lowest = min(last.layers)
    passes = last.factor - 1 if last.strategy == "g_freeze" else 1
    backward = 2.0 * supervised * shape.head
    for block in range(lowest, shape.num_blocks):
        mlp = shape.mlp + _extra_width(shape, growths, block)
        if block > lowest:
            backward += 2 * shape.attention + 2 * mlp
            backward += 2 * _scores(shape, length)
        else:
            # Down to the new activations: through the down-projection alone.
            backward += 2 * shape.down * passes
    return (
        forward_flops(shape, growths, length, supervised)
        + backward
        + 2.0 * new_parameters(shape, last)
    )


def size(variable: Any) -> int:
    """Number of values of a variable, which may be unallocated."""
    count = 1
    for dimension in variable.shape:
        count *= int(dimension)
    return count


def is_parameter(variable: Any) -> bool:
    """Whether a variable is a parameter, not a growth's or int8 scale."""
    if not variable.name.endswith("_scale"):
        return True
    # Gemma 3n and the experts of Gemma 4 have scales that are parameters.
    return len(variable.shape) > 0 and variable.name not in _INT8_SCALES


def variable_bytes(variable: Any) -> int:
    """Bytes of a variable as it is stored."""
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return size(variable) * dtype_bits(dtype) // 8


def dtype_bits(dtype: str) -> int:
    """Bits of a value of a standardized dtype."""
    bits = {"bool": 8, "bfloat16": 16, "int4": 4}.get(dtype)
    if bits is None:
        bits = int("".join(c for c in dtype.split("_")[0] if c.isdigit())[:2])
    return bits


def _scores(shape: ModelShape, length: int) -> int:
    """Operations of a block's scores and their use, for one token."""
    return 4 * length * shape.heads_dim

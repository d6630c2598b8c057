"""What the paper compares growing the MLP with."""

from keras_grow.ablations.attention import grow_attention
from keras_grow.ablations.block_expansion import expand_blocks

__all__ = ["expand_blocks", "grow_attention"]

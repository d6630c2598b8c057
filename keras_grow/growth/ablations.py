"""What the paper compares the growth of the MLP with."""

from keras_grow.growth.attention import grow_attention
from keras_grow.growth.block_expansion import expand_blocks

__all__ = ["expand_blocks", "grow_attention"]

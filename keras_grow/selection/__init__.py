"""Which blocks to grow: rankings of the blocks of a model."""

from keras_grow.selection.fixed import evenly_spaced
from keras_grow.selection.fixed import last_blocks
from keras_grow.selection.gradient import rank_by_gradient
from keras_grow.selection.sources import save_kernels
from keras_grow.selection.spectrum import rank_by_signal_to_noise
from keras_grow.selection.update import LayerUpdateRecorder

__all__ = [
    "LayerUpdateRecorder",
    "evenly_spaced",
    "last_blocks",
    "rank_by_gradient",
    "rank_by_signal_to_noise",
    "save_kernels",
]

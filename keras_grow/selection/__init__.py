"""Which blocks to grow: rankings of the blocks of a model."""

from keras_grow.selection.fixed import evenly_spaced
from keras_grow.selection.fixed import last_blocks
from keras_grow.selection.gradient import rank_by_gradient
from keras_grow.selection.kernels import open_kernels
from keras_grow.selection.kernels import save_kernels
from keras_grow.selection.layer_scores import LayerScores
from keras_grow.selection.spectrum import rank_by_signal_to_noise
from keras_grow.selection.spectrum import signal_to_noise
from keras_grow.selection.svd import randomized_singular_values
from keras_grow.selection.svd import singular_values
from keras_grow.selection.update import LayerUpdateRecorder
from keras_grow.selection.update import rank_layers
from keras_grow.selection.update import update_magnitude

__all__ = [
    "LayerScores",
    "LayerUpdateRecorder",
    "evenly_spaced",
    "last_blocks",
    "open_kernels",
    "randomized_singular_values",
    "rank_by_gradient",
    "rank_by_signal_to_noise",
    "rank_layers",
    "save_kernels",
    "signal_to_noise",
    "singular_values",
    "update_magnitude",
]

"""Training over several devices, through `keras.distribution`."""

from keras_grow.distribution.forecast import memory_per_device
from keras_grow.distribution.place import distribute
from keras_grow.distribution.shapes import shapes_only

__all__ = [
    "distribute",
    "memory_per_device",
    "shapes_only",
]

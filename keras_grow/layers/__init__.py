"""Keras layers that know nothing of any model."""

from keras_grow.layers.growable_dense import GrowableDense

__all__ = ["GrowableDense"]

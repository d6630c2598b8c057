"""Losses and options of a training run."""

from keras_grow.training.anchor import KLAnchor
from keras_grow.training.decay_to_start import DecayToStart
from keras_grow.training.response_only import response_only

__all__ = [
    "DecayToStart",
    "KLAnchor",
    "response_only",
]

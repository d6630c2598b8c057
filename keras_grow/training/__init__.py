"""Losses and options of a training run."""

from keras_grow.training.response_only import response_only

__all__ = [
    "response_only",
]

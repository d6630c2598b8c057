"""Attention heads recorded and replaced in KerasHub's own forward pass."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_grow.growth.families import family_of
from keras_grow.growth.families import holder_of


class Patched(keras.layers.Layer):
    """An output projection with one head replaced at one position."""

    def __init__(self, dense, head, positions, value):
        super().__init__()
        self.dense, self.head = dense, head
        self.positions, self.value = positions, value

    def call(self, heads):
        heads = ops.convert_to_numpy(heads).copy()
        heads[np.arange(len(heads)), self.positions, self.head] = self.value
        return self.dense(ops.convert_to_tensor(heads))


class Watched(keras.layers.Layer):
    """An output projection that records the heads it was given."""

    def __init__(self, dense):
        super().__init__()
        self.dense, self.seen = dense, None

    def call(self, heads):
        self.seen = ops.convert_to_numpy(heads)
        return self.dense(heads)


def output_of(lm, block):
    """The layer that holds the output projection of a block, and its name."""
    return holder_of(block, family_of(lm.backbone).attention[-1])


@contextlib.contextmanager
def projected_by(holder, name, layer):
    """An attention with another output projection.

    Tests may do what the library does not: change the model.
    """
    dense = getattr(holder, name)
    object.__setattr__(holder, name, layer)
    yield layer
    object.__setattr__(holder, name, dense)


def inputs(batch):
    """The inputs of a model for a batch of prompts."""
    return {
        "token_ids": batch.token_ids,
        "padding_mask": batch.padding_mask.astype("int32"),
    }


def probabilities(lm, batch):
    """Of the targets, by KerasHub's own forward pass."""
    logits = ops.convert_to_numpy(lm(inputs(batch))).astype("float64")
    rows = np.arange(len(batch))
    logits = logits[rows, batch.lengths - 1]
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits[rows, batch.targets]) / np.exp(logits).sum(axis=1)

"""Losses and options of a training run."""

from keras_grow.training.anchor import KLAnchor
from keras_grow.training.l2sp import L2SP
from keras_grow.training.length_buckets import LengthBuckets
from keras_grow.training.lower_states import LowerStates
from keras_grow.training.supervised import add_anchor
from keras_grow.training.supervised import supervised_logits

__all__ = [
    "L2SP",
    "KLAnchor",
    "LengthBuckets",
    "LowerStates",
    "add_anchor",
    "supervised_logits",
]

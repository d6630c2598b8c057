"""Grow a pre-trained KerasHub model: new skills in new weights.

Implements "Grow, Don't Overwrite: Fine-tuning Without Forgetting"
(arXiv 2603.08647) for Keras 3 on JAX, TensorFlow and PyTorch.
"""

from keras_grow.distribution import layout_map
from keras_grow.growth import Family
from keras_grow.growth import Growth
from keras_grow.growth import GrowthConfig
from keras_grow.growth import GrowthReport
from keras_grow.growth import PreservationReport
from keras_grow.growth import grow_mlp
from keras_grow.growth import grow_model
from keras_grow.growth import growth_disabled
from keras_grow.growth import growth_report
from keras_grow.growth import growths
from keras_grow.growth import merge_growth
from keras_grow.growth import quantize_base
from keras_grow.growth import register_family
from keras_grow.growth import remove_growth
from keras_grow.growth import set_growths
from keras_grow.growth import trainable_mask
from keras_grow.growth import verify_preserved
from keras_grow.layers import GrowableDense
from keras_grow.saving import load_growth
from keras_grow.saving import save_growth
from keras_grow.selection import LayerScores
from keras_grow.selection import rank_layers
from keras_grow.training import L2SP
from keras_grow.training import KLAnchor
from keras_grow.training import add_anchor
from keras_grow.training import supervised_logits

__version__ = "0.1.0"

__all__ = [
    "L2SP",
    "Family",
    "GrowableDense",
    "Growth",
    "GrowthConfig",
    "GrowthReport",
    "KLAnchor",
    "LayerScores",
    "PreservationReport",
    "add_anchor",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "growth_report",
    "growths",
    "layout_map",
    "load_growth",
    "merge_growth",
    "quantize_base",
    "rank_layers",
    "register_family",
    "remove_growth",
    "save_growth",
    "set_growths",
    "supervised_logits",
    "trainable_mask",
    "verify_preserved",
]

"""Plan, apply, switch, report, merge: the growth of a KerasHub model."""

from keras_grow.growth.ablations import expand_blocks
from keras_grow.growth.ablations import grow_attention
from keras_grow.growth.apply import grow_mlp
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.growth.grow import grow_model
from keras_grow.growth.grown import register_family
from keras_grow.growth.grown import remove_growth
from keras_grow.growth.merge import merge_growth
from keras_grow.growth.merge import trainable_mask
from keras_grow.growth.quantize import quantize_base
from keras_grow.growth.report import GrowthReport
from keras_grow.growth.report import growth_report
from keras_grow.growth.switch import PreservationReport
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.switch import verify_preserved

__all__ = [
    "Family",
    "GrowthConfig",
    "GrowthReport",
    "PreservationReport",
    "expand_blocks",
    "grow_attention",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "growth_report",
    "merge_growth",
    "quantize_base",
    "register_family",
    "remove_growth",
    "trainable_mask",
    "verify_preserved",
]

"""Plan, apply, switch, report, merge: the growth of a KerasHub model."""

from keras_grow.growth.apply import grow_mlp
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.growth.grow import grow_model
from keras_grow.growth.grown import register_family
from keras_grow.growth.grown import remove_growth
from keras_grow.growth.switch import PreservationReport
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.switch import verify_preserved

__all__ = [
    "Family",
    "GrowthConfig",
    "PreservationReport",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "register_family",
    "remove_growth",
    "verify_preserved",
]

"""Plan, grow, switch, dial, report, merge: the growth of a KerasHub model."""

from keras_grow.growth.build import grow_mlp
from keras_grow.growth.choose import ScaleChoice
from keras_grow.growth.choose import choose_scale
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.growth.grow import grow_model
from keras_grow.growth.grow import remove_growth
from keras_grow.growth.merge import merge_growth
from keras_grow.growth.merge import trainable_mask
from keras_grow.growth.quantize import quantize_base
from keras_grow.growth.register import register_family
from keras_grow.growth.report import GrowthReport
from keras_grow.growth.report import growth_report
from keras_grow.growth.scale import Growth
from keras_grow.growth.scale import growths
from keras_grow.growth.scale import set_growths
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.verify import PreservationReport
from keras_grow.growth.verify import verify_preserved

__all__ = [
    "Family",
    "Growth",
    "GrowthConfig",
    "GrowthReport",
    "PreservationReport",
    "ScaleChoice",
    "choose_scale",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "growth_report",
    "growths",
    "merge_growth",
    "quantize_base",
    "register_family",
    "remove_growth",
    "set_growths",
    "trainable_mask",
    "verify_preserved",
]

"""Grow a pre-trained KerasHub model: new skills in new weights.

Implements "Grow, Don't Overwrite: Fine-tuning Without Forgetting"
(arXiv 2603.08647) for Keras 3 on JAX, TensorFlow and PyTorch.

Begin with `grow_model`. The names here are all that growing, training, routing,
saving and exporting a model take. Beside them: `keras_grow.tasks` (data),
`keras_grow.evaluation` (scores, streaming), `keras_grow.comparison` (methods
compared fairly), `keras_grow.selection` and `keras_grow.analysis` (which blocks
to grow, and what changed in them), `keras_grow.distribution` (several devices),
`keras_grow.ablations` (what the paper compares with).
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.registration import register_with_keras
from keras_grow.version import __version__

if TYPE_CHECKING:
    from keras_grow.distribution.layout import layout_map
    from keras_grow.export.to_gguf import export_gguf
    from keras_grow.export.to_transformers import export_transformers
    from keras_grow.growth.build import grow_mlp
    from keras_grow.growth.choose import choose_scale
    from keras_grow.growth.config import GrowthConfig
    from keras_grow.growth.families import Family
    from keras_grow.growth.grow import grow_model
    from keras_grow.growth.grow import remove_growth
    from keras_grow.growth.merge import merge_growth
    from keras_grow.growth.merge import trainable_mask
    from keras_grow.growth.quantize import quantize_base
    from keras_grow.growth.register import register_family
    from keras_grow.growth.report import growth_report
    from keras_grow.growth.scale import Growth
    from keras_grow.growth.scale import growths
    from keras_grow.growth.scale import set_growths
    from keras_grow.growth.switch import growth_disabled
    from keras_grow.growth.verify import verify_preserved
    from keras_grow.layers.growable_dense import GrowableDense
    from keras_grow.loading.load import load_causal_lm
    from keras_grow.routing.router import GrowthRouter
    from keras_grow.saving.growth_file import load_growth
    from keras_grow.saving.growth_file import save_growth
    from keras_grow.selection.layer_scores import LayerScores
    from keras_grow.selection.update import rank_layers
    from keras_grow.training.anchor import KLAnchor
    from keras_grow.training.l2sp import L2SP
    from keras_grow.training.length_buckets import LengthBuckets
    from keras_grow.training.lower_states import LowerStates
    from keras_grow.training.supervised import add_anchor
    from keras_grow.training.supervised import supervised_logits

__all__ = [
    "L2SP",
    "Family",
    "GrowableDense",
    "Growth",
    "GrowthConfig",
    "GrowthRouter",
    "KLAnchor",
    "LayerScores",
    "LengthBuckets",
    "LowerStates",
    "__version__",
    "add_anchor",
    "choose_scale",
    "export_gguf",
    "export_transformers",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "growth_report",
    "growths",
    "layout_map",
    "load_causal_lm",
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

# Where the names above are: a module is imported when a name is first used.
_MODULE_OF = {
    "L2SP": "training.l2sp",
    "Family": "growth.families",
    "GrowableDense": "layers.growable_dense",
    "Growth": "growth.scale",
    "GrowthConfig": "growth.config",
    "GrowthRouter": "routing.router",
    "KLAnchor": "training.anchor",
    "LayerScores": "selection.layer_scores",
    "LengthBuckets": "training.length_buckets",
    "LowerStates": "training.lower_states",
    "add_anchor": "training.supervised",
    "choose_scale": "growth.choose",
    "export_gguf": "export.to_gguf",
    "export_transformers": "export.to_transformers",
    "grow_mlp": "growth.build",
    "grow_model": "growth.grow",
    "growth_disabled": "growth.switch",
    "growth_report": "growth.report",
    "growths": "growth.scale",
    "layout_map": "distribution.layout",
    "load_causal_lm": "loading.load",
    "load_growth": "saving.growth_file",
    "merge_growth": "growth.merge",
    "quantize_base": "growth.quantize",
    "rank_layers": "selection.update",
    "register_family": "growth.register",
    "remove_growth": "growth.grow",
    "save_growth": "saving.growth_file",
    "set_growths": "growth.scale",
    "supervised_logits": "training.supervised",
    "trainable_mask": "growth.merge",
    "verify_preserved": "growth.verify",
}
# The packages that have public names of their own.
_PACKAGES = (
    "ablations",
    "analysis",
    "comparison",
    "distribution",
    "evaluation",
    "selection",
    "tasks",
)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF and name not in _PACKAGES:
        raise AttributeError(f"module 'keras_grow' has no attribute {name!r}")
    module = importlib.import_module(f"keras_grow.{_MODULE_OF.get(name, name)}")
    value = module if name in _PACKAGES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})


register_with_keras()

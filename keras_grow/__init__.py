"""Grow a pre-trained KerasHub model: new skills in new weights.

Implements "Grow, Don't Overwrite: Fine-tuning Without Forgetting"
(arXiv 2603.08647) for Keras 3 on JAX, TensorFlow and PyTorch.

Begin with `grow_model`. Other modules: `keras_grow.tasks` (data),
`keras_grow.evaluation` (scores, streaming), `keras_grow.comparison` (methods
compared fairly), `keras_grow.loading` (models by name, Gemma 3 from GGUF
files), `keras_grow.selection` and `keras_grow.analysis` (which blocks, and what
changed in them), `keras_grow.training` (losses and callbacks),
`keras_grow.distribution` (several devices), `keras_grow.export` (transformers,
GGUF), `keras_grow.routing` (a growth for each prompt), `keras_grow.ablations`
(what the paper compares with).
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.registration import register_with_keras
from keras_grow.version import __version__

if TYPE_CHECKING:
    from keras_grow.distribution import layout_map
    from keras_grow.export import export_gguf
    from keras_grow.export import export_transformers
    from keras_grow.growth import Family
    from keras_grow.growth import Growth
    from keras_grow.growth import GrowthConfig
    from keras_grow.growth import GrowthReport
    from keras_grow.growth import PreservationReport
    from keras_grow.growth import choose_scale
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
    from keras_grow.loading import load_causal_lm
    from keras_grow.routing import GrowthRouter
    from keras_grow.saving import load_growth
    from keras_grow.saving import save_growth
    from keras_grow.selection import LayerScores
    from keras_grow.selection import rank_layers
    from keras_grow.training import L2SP
    from keras_grow.training import KLAnchor
    from keras_grow.training import LengthBuckets
    from keras_grow.training import LowerStates
    from keras_grow.training import add_anchor
    from keras_grow.training import supervised_logits

__all__ = [
    "L2SP",
    "Family",
    "GrowableDense",
    "Growth",
    "GrowthConfig",
    "GrowthReport",
    "GrowthRouter",
    "KLAnchor",
    "LayerScores",
    "LengthBuckets",
    "LowerStates",
    "PreservationReport",
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

# Where the names above are; a folder is imported when one of its names is used.
_NAMES_OF = {
    "ablations": (),
    "analysis": (),
    "app": (),
    "comparison": (),
    "distribution": ("layout_map",),
    "evaluation": (),
    "export": ("export_gguf", "export_transformers"),
    "files": (),
    "growth": (
        "Family",
        "Growth",
        "GrowthConfig",
        "GrowthReport",
        "PreservationReport",
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
    ),
    "layers": ("GrowableDense",),
    "loading": ("load_causal_lm",),
    "routing": ("GrowthRouter",),
    "saving": ("load_growth", "save_growth"),
    "selection": ("LayerScores", "rank_layers"),
    "tasks": (),
    "training": (
        "KLAnchor",
        "L2SP",
        "LengthBuckets",
        "LowerStates",
        "add_anchor",
        "supervised_logits",
    ),
}


def __getattr__(name: str) -> Any:
    for folder, names in _NAMES_OF.items():
        if name == folder or name in names:
            module = importlib.import_module(f"keras_grow.{folder}")
            value = module if name == folder else getattr(module, name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'keras_grow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NAMES_OF})


register_with_keras()

"""Grow a pre-trained KerasHub model: new skills in new weights.

Implements "Grow, Don't Overwrite: Fine-tuning Without Forgetting"
(arXiv 2603.08647) for Keras 3 on JAX, TensorFlow and PyTorch.
"""

import importlib
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.registration import register_with_keras
from keras_grow.version import __version__

if TYPE_CHECKING:
    from keras_grow.distribution import layout_map
    from keras_grow.growth import Family
    from keras_grow.growth import GrowthConfig
    from keras_grow.growth import GrowthReport
    from keras_grow.growth import PreservationReport
    from keras_grow.growth import grow_mlp
    from keras_grow.growth import grow_model
    from keras_grow.growth import growth_disabled
    from keras_grow.growth import growth_report
    from keras_grow.growth import merge_growth
    from keras_grow.growth import quantize_base
    from keras_grow.growth import register_family
    from keras_grow.growth import remove_growth
    from keras_grow.growth import trainable_mask
    from keras_grow.growth import verify_preserved
    from keras_grow.layers import GrowableDense
    from keras_grow.saving import load_growth
    from keras_grow.saving import save_growth
    from keras_grow.selection import LayerScores
    from keras_grow.selection import rank_layers
    from keras_grow.training import Anchor
    from keras_grow.training import DecayToStart
    from keras_grow.training import response_only

__all__ = [
    "Anchor",
    "DecayToStart",
    "Family",
    "GrowableDense",
    "GrowthConfig",
    "GrowthReport",
    "LayerScores",
    "PreservationReport",
    "__version__",
    "grow_mlp",
    "grow_model",
    "growth_disabled",
    "growth_report",
    "layout_map",
    "load_growth",
    "merge_growth",
    "quantize_base",
    "rank_layers",
    "register_family",
    "remove_growth",
    "response_only",
    "save_growth",
    "trainable_mask",
    "verify_preserved",
]

# Where the names above are; a folder is imported when one of its own is used.
_NAMES_OF = {
    "analysis": (),
    "app": (),
    "comparison": (),
    "distribution": ("layout_map",),
    "evaluation": (),
    "files": (),
    "growth": (
        "Family",
        "GrowthConfig",
        "GrowthReport",
        "PreservationReport",
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
    ),
    "layers": ("GrowableDense",),
    "models": (),
    "saving": ("load_growth", "save_growth"),
    "selection": ("LayerScores", "rank_layers"),
    "tasks": (),
    "training": ("Anchor", "DecayToStart", "response_only"),
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

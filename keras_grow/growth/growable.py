"""Refuse what cannot be grown before anything is built."""

import warnings
from collections.abc import Sequence

from keras.layers import Layer

from keras_grow.growth.config import GrowthConfig
from keras_grow.layers.dense_slices import check_growable
from keras_grow.layers.folded_dense import CopiedDense
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.growable_dense import base_layer_of
from keras_grow.layers.int8 import is_int8
from keras_grow.layers.int8 import weights_only


def check_mlp(
    ups: Sequence[Layer],
    down: Layer,
    config: GrowthConfig,
    where: str = "",
    stored: bool = False,
) -> None:
    """Refuse an MLP that cannot grow as `config` says.

    A `stored` growth was trained before its base was quantized with its inputs.
    """
    for layer in (*ups, down):
        base = base_layer_of(layer)
        name = f"the layer `{layer.name}`{where}"
        check_growable(base)
        if not layer.built:
            raise ValueError(
                f"Expected a built model. Received: {name}, which has no "
                "weights yet. Call the model once, or `build` it."
            )
        if not weights_only(base) and not (stored and is_int8(base)):
            raise ValueError(
                f"Expected float weights to copy. Received: {name}, quantized "
                f"to {base.quantization_mode}, with its inputs. Use "
                "`keras_grow.quantize_base`, before or after growing."
            )
        if base.lora_enabled:
            raise ValueError(
                f"Expected an MLP without LoRA. Received: {name} with LoRA of "
                f"rank {base.lora_rank}. Enable LoRA on the attention only."
            )
        if config.slice_dtype not in ("float32", base.compute_dtype):
            raise ValueError(
                'Expected `slice_dtype` to be "float32" or the dtype that '
                f'the model computes in, "{base.compute_dtype}". '
                f"Received: slice_dtype={config.slice_dtype!r}"
            )
        _check_on_top(layer, config, name)


def _check_on_top(layer: Layer, config: GrowthConfig, name: str) -> None:
    """Refuse G-Train above or below another active growth."""
    if not isinstance(layer, GrowableDense):
        return
    under = [new for new in layer.slices if new.name in dict(config.beneath)]
    whole = [new for new in under if isinstance(new, CopiedDense)]
    if whole or (under and config.strategy == "g_train"):
        raise ValueError(
            'Expected no `strategy="g_train"` above or below another growth: '
            "it trains the up-projection as a whole, so there is no earlier "
            "part to keep. "
            f"Received: strategy={config.strategy!r} on {name}. Switch the "
            "other growth off first, with `keras_grow.set_growths`."
        )


def warn_dead_point(config: GrowthConfig) -> None:
    """Warn of a config that describes a growth that cannot learn."""
    if config.init == "zeros":
        warnings.warn(
            'With `init="zeros"` up- and down-projection of the new slices '
            "are both zero, so every gradient of a gated MLP is zero and "
            'nothing is learned. `init="zero_down"` keeps the up-projection.',
            UserWarning,
            stacklevel=3,
        )

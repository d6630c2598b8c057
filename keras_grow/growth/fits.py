"""Whether what was stored of a grown model fits a base: before any change."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras

from keras_grow.files.checked_json import show
from keras_grow.growth.apply import check_mlp
from keras_grow.growth.config import MAX_FACTOR
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.families import family_of


def check_fits(
    backbone: keras.Model,
    growths: Sequence[GrowthConfig],
    lora: dict[str, dict[str, float]],
) -> tuple[GrowthConfig, ...]:
    """Check stored growths and LoRA ranks against the base they are for.

    Args:
        backbone: a base.
        growths: the growths, oldest first.
        lora: rank and alpha by the path of a layer.

    Returns:
        The growths, with slices in float32 where the backbone computes in
        another dtype than the one that was saved.

    Raises:
        ValueError: if the backbone cannot be grown so.
    """
    family = family_of(backbone)
    blocks = family.blocks_of(backbone)
    fitting = tuple(_with_fitting_dtype(backbone, g) for g in growths)
    grown: set[int] = set()
    for growth in fitting:
        for index in resolve_layers(growth.layers, len(blocks)):
            *ups, down = family.mlp_of(blocks[index])
            check_mlp(ups, down, growth, f" of block {index}")
            grown.update(id(layer) for layer in (*ups, down))
    layers = {layer.path: layer for layer in backbone._flatten_layers()}
    for path, entry in lora.items():
        layer = layers.get(path)
        if id(layer) in grown or not _can_have_lora(layer):
            raise ValueError(
                "Expected `lora` to name dense layers of the base outside of "
                f"the grown MLPs. Received: lora[{show(path)}]"
            )
        _check_rank(path, layer, entry["rank"])
    return fitting


def _with_fitting_dtype(
    backbone: keras.Model, config: GrowthConfig
) -> GrowthConfig:
    """`config` for a backbone that is loaded in another dtype than saved."""
    if config.slice_dtype in ("float32", backbone.compute_dtype):
        return config
    return dataclasses.replace(config, slice_dtype="float32")


def _can_have_lora(layer: Any) -> bool:
    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    return isinstance(layer, kinds) and layer.built and not layer.lora_enabled


def _check_rank(path: str, layer: Any, rank: float) -> None:
    """Refuse a rank that would allocate far more than the layer itself."""
    *rows, columns = layer.kernel.shape
    size = rank * (math.prod(rows) + columns)
    if size > MAX_FACTOR * math.prod(rows) * columns:
        raise ValueError(
            f"Expected LoRA kernels of at most {MAX_FACTOR} times the size of "
            f"the layer's own. Received: lora[{show(path)}].rank={rank}"
        )

"""Does a stored growth fit a base? Checked before anything changes."""

import math
from collections.abc import Sequence
from typing import Any

from keras_grow.files.checked_json import show
from keras_grow.growth.config import MAX_FACTOR
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.growable import check_mlp
from keras_grow.growth.lora import LORA_KINDS
from keras_grow.growth.lora import layers_by_path
from keras_grow.growth.lora import lora_layers
from keras_grow.growth.state import ModelState
from keras_grow.growth.stored import check_strategies
from keras_grow.growth.stored import check_total_width
from keras_grow.keras_internals import flatten_layers


def check_fits(
    state: ModelState,
    growths: Sequence[GrowthConfig],
    lora: dict[str, dict[str, float]],
) -> tuple[GrowthConfig, ...]:
    """Check stored growths and LoRA ranks against the model they are for.

    The growths, oldest first, are returned with slices in float32 where the
    model computes in a dtype other than the saved one.
    """
    dtype = state.backbone.compute_dtype
    fitting = tuple(growth.for_compute_dtype(dtype) for growth in growths)
    together = (*state.growths, *fitting)
    check_total_width(together)
    check_strategies(together)
    _check(state, fitting, lora)
    under = [layer.path for layer in lora_layers(state.backbone)]
    if lora and under:
        raise ValueError(
            "Expected a base without LoRA for a growth with LoRA beside it. "
            f"Received: `{under[0]}` under LoRA"
        )
    return fitting


def check_saved(
    state: ModelState,
    growths: Sequence[GrowthConfig],
    lora: dict[str, dict[str, float]],
) -> None:
    """Refuse to save what `check_fits` would refuse to load."""
    try:
        _check(state, growths, lora)
    except ValueError as error:
        raise ValueError(
            f"{error} A file of this model would not load again."
        ) from error


def _check(
    state: ModelState,
    growths: Sequence[GrowthConfig],
    lora: dict[str, dict[str, float]],
) -> None:
    """Check what saving and loading have in common."""
    grown: set[int] = set()
    for growth in growths:
        for index in resolve_layers(growth.layers, len(state.blocks)):
            state.family.check_block(state.blocks[index], index)
            *ups, down = state.family.mlp_of(state.blocks[index])
            check_mlp(ups, down, growth, f" of block {index}", stored=True)
            for layer in (*ups, down):
                grown.update(id(part) for part in flatten_layers(layer))
    layers = layers_by_path(state.backbone)
    for path, entry in lora.items():
        layer = layers.get(path)
        kind = isinstance(layer, LORA_KINDS) and layer.built
        if id(layer) in grown or not kind:
            raise ValueError(
                "Expected `lora` to name dense layers of the base outside of "
                f"the grown MLPs. Received: lora[{show(path)}]"
            )
        _check_rank(path, layer, entry["rank"])


def _check_rank(path: str, layer: Any, rank: float) -> None:
    """Refuse a rank that would allocate far more than the layer itself."""
    *rows, columns = layer.kernel.shape
    size = rank * (math.prod(rows) + columns)
    if size > MAX_FACTOR * math.prod(rows) * columns:
        raise ValueError(
            f"Expected LoRA kernels of at most {MAX_FACTOR} times the size of "
            f"the layer's own. Received: lora[{show(path)}].rank={rank}"
        )

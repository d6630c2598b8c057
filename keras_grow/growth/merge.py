"""The grown model as one with wider kernels: merged, and as a mask."""

from typing import Any

import keras
import numpy as np
from keras import ops
from keras.layers import Layer

from keras_grow.growth.families import Family
from keras_grow.growth.families import family_of
from keras_grow.growth.grown import check_grown
from keras_grow.growth.grown import check_only_mlps
from keras_grow.growth.grown import check_switched_on
from keras_grow.growth.lora import lora_layers
from keras_grow.layers import expand
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.growable_dense import base_of


def merge_growth(model: keras.Model, dtype: str | None = None) -> keras.Model:
    """Make a plain KerasHub model of a grown one, for serving.

    The new model has wider MLPs and nothing of keras_grow in it: saved as a
    preset, it loads where keras_grow is not installed. Blocks that are not
    grown, or less, are padded with zero columns to the common width, which
    preserves the function.

    One product over all neurons rounds differently than one a slice: logits
    differ from the grown model's by up to about 1e-5 of their size in float32
    and 2e-2 in bfloat16, where the slices are rounded to bfloat16 as well.

    Args:
        model: a grown KerasHub task or backbone, which is left as it is.
        dtype: dtype of the new model. Defaults to the model's own.

    Returns:
        A task or backbone of the plain KerasHub class.

    Raises:
        ValueError: if the model is not grown, or its base is quantised, or
            inside `growth_disabled`.

    Example:

    ```python
    plain = keras_grow.merge_growth(lm)
    plain.save_to_preset("merged")
    ```
    """
    backbone = check_grown(model)
    check_only_mlps(backbone)
    check_switched_on(backbone)
    family = family_of(backbone)
    blocks = family.blocks_of(backbone)
    if any(layer.quantization_mode for layer in backbone._flatten_layers()):
        raise ValueError(
            "Expected a float model to merge. Received: a model with "
            "quantised layers. Merge first and quantise the result."
        )
    downs = [family.mlp_of(block)[-1] for block in blocks]
    widths = [_width(down) for down in downs]
    base_width = _width(base_of(downs[0]))
    merged = _wider(backbone, family, max(widths) / base_width, dtype)
    for old, new in zip(blocks, family.blocks_of(merged), strict=True):
        _merge_block(old, new, family, max(widths))
    _copy_rest(backbone, merged, family)
    if model is backbone:
        return merged
    return family.task_cls(
        backbone=merged, preprocessor=model.preprocessor, name=model.name
    )


def trainable_mask(model: keras.Model) -> dict[str, np.ndarray]:
    """Say which entries of the merged kernels train.

    This is the view of a growth in which the paper describes it: one wide
    kernel under a boolean gradient mask.

    Args:
        model: a grown KerasHub task or backbone.

    Returns:
        For each variable path of the merged model whose block is grown, a
        boolean array of the merged kernel's shape `[h, width]` or
        `[width, h]` (blocks are not padded to a common width here).

    Raises:
        ValueError: if the model is not grown.

    Example:

    ```python
    mask = keras_grow.trainable_mask(lm)
    mask["decoder_block_0/ffw_gating/kernel"].mean()  # 0.5
    ```
    """
    backbone = check_grown(model)
    family = family_of(backbone)
    masks = {}
    for block in family.blocks_of(backbone):
        for layer in family.mlp_of(block):
            if isinstance(layer, GrowableDense):
                masks[layer.base._kernel.path] = _mask(layer)
    return masks


def _mask(layer: GrowableDense) -> np.ndarray:
    axis = 1 if layer.grows == "output" else 0
    parts = [] if layer.fold else [layer.base]
    if layer.fold and layer.grows == "input":
        parts = [layer.base] * layer.fold
    return np.concatenate(
        [
            np.full(part.kernel.shape, part._kernel.trainable, bool)
            for part in (*parts, *layer.slices)
        ],
        axis=axis,
    )


def _wider(
    backbone: keras.Model, family: Family, ratio: float, dtype: str | None
) -> keras.Model:
    """A new backbone of the plain class with `ratio` times the MLP width."""
    config = family.backbone_cls.get_config(backbone)
    config[family.width] = round(config[family.width] * ratio)
    if dtype is not None:
        config["dtype"] = dtype
    return family.backbone_cls.from_config(config)


def _merge_block(old: Layer, new: Layer, family: Family, width: int) -> None:
    """Write the MLP of `old`, merged and padded, into the MLP of `new`."""
    for name in family.slots:
        layer, target = getattr(old, name), getattr(new, name)
        axis = 0 if name == family.down else 1
        if isinstance(layer, GrowableDense):
            kernel, bias = layer.merged_kernel(), layer.merged_bias()
        else:
            kernel, bias = layer.kernel, layer.bias
        target.kernel.assign(expand.pad_width(kernel, width, axis))
        if bias is not None:
            bias = bias if axis == 0 else expand.pad_width(bias, width, 0)
            target.bias.assign(bias)


def _copy_rest(
    backbone: keras.Model, merged: keras.Model, family: Family
) -> None:
    """Copy every weight outside of the MLPs, by path; LoRA is merged in."""
    lora = {layer._kernel.path: layer for layer in lora_layers(backbone)}
    mlps = {
        id(weight)
        for block in family.blocks_of(merged)
        for layer in family.mlp_of(block)
        for weight in layer.weights
    }
    values: dict[str, Any] = {w.path: w for w in backbone.weights}
    for weight in merged.weights:
        if id(weight) in mlps:
            continue
        layer = lora.get(weight.path)
        value = layer.kernel if layer else values[weight.path]
        weight.assign(ops.copy(ops.cast(value, weight.dtype)))


def _width(layer: Any) -> int:
    if isinstance(layer, GrowableDense):
        return layer.width
    return int(layer.kernel.shape[0])

"""The grown model as one with wider kernels: merged, and as a mask."""

from operator import attrgetter
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.layers import Layer

from keras_grow.growth.derive import plain_class_of
from keras_grow.growth.families import Family
from keras_grow.growth.families import config_of
from keras_grow.growth.families import write_whole_config
from keras_grow.growth.lora import lora_layers
from keras_grow.growth.lora import lora_variables
from keras_grow.growth.state import check_only_mlps
from keras_grow.growth.state import grown_state
from keras_grow.growth.switch import check_switched_on
from keras_grow.keras_internals import embedding_variable
from keras_grow.keras_internals import flatten_layers
from keras_grow.keras_internals import kernel_variable
from keras_grow.layers import expand
from keras_grow.layers.folded_dense import Fold
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.growable_dense import base_layer_of
from keras_grow.layers.merged import merged_bias
from keras_grow.layers.merged import merged_kernel


def merge_growth(model: keras.Model, dtype: str | None = None) -> keras.Model:
    """Turn a grown model into a plain KerasHub model, at its current scales.

    The new model has wider MLPs and nothing of keras_grow in it: saved as a
    preset, it loads where keras_grow is not installed. Blocks that are grown
    less, or not at all, are padded with zero columns to the common width, which
    preserves the function.

    One product over all neurons rounds differently from one per slice: logits
    differ from the grown model's by up to about 1e-5 of their size in float32
    and 2e-2 in bfloat16, where the slices are rounded to bfloat16 as well.

    Args:
        model: a grown KerasHub task or backbone, which is left as it is.
        dtype: dtype of the new model. Defaults to the model's own.

    Returns:
        A task or backbone of the plain KerasHub class. A task is made from
        its own config, and keeps the weights that it has beside its backbone.

    Raises:
        ValueError: if the model is not grown, or its base is quantized, or
            inside `growth_disabled`.

    Example:

    ```python
    plain = keras_grow.merge_growth(lm)
    plain.save_to_preset("merged")
    ```
    """
    state = grown_state(model)
    backbone, family, blocks = state.backbone, state.family, state.blocks
    check_only_mlps(backbone)
    check_switched_on(backbone)
    if any(layer.quantization_mode for layer in flatten_layers(model)):
        raise ValueError(
            "Expected a float model to merge. Received: a model with "
            "quantized layers. Merge first and quantize the result."
        )
    downs = [family.mlp_of(block)[-1] for block in blocks]
    ratio = max(_width(down) / _width(base_layer_of(down)) for down in downs)
    merged = _wider(backbone, family, ratio, dtype)
    for old, new in zip(blocks, family.blocks_of(merged), strict=True):
        _merge_block(old, new, family)
    _copy_rest(backbone, merged, family)
    if model is backbone:
        return merged
    return _task_over(merged, model, dtype)


def trainable_mask(model: keras.Model) -> dict[str, np.ndarray]:
    """Return which entries of the merged kernels train.

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
    state = grown_state(model)
    return {
        kernel_variable(layer.base).path: _mask(layer)
        for layer in state.grown_layers
        if any(layer.active)
    }


def _mask(layer: GrowableDense) -> np.ndarray:
    """Which entries of `merged_kernel(layer)` train."""
    axis = 1 if layer.grows == "output" else 0
    parts = [layer.base] * layer.base_active
    for new, on in zip(layer.slices, layer.active, strict=True):
        if on and isinstance(new, Fold):
            parts += [layer.base] * new.factor
        elif on:
            parts += getattr(new, "copies", [new])
    masks = [
        np.full(part.kernel.shape, kernel_variable(part).trainable, bool)
        for part in parts
    ]
    return np.concatenate(masks, axis=axis)


def _wider(
    backbone: keras.Model, family: Family, ratio: float, dtype: str | None
) -> keras.Model:
    """A new backbone of the plain class with `ratio` times the MLP width."""
    plain = plain_class_of(backbone)
    config = config_of(backbone, plain)
    width = config[family.width]
    # Gemma 3n has one width per block.
    config[family.width] = (
        [round(each * ratio) for each in width]
        if isinstance(width, (list, tuple))
        else round(width * ratio)
    )
    if dtype is not None:
        config["dtype"] = dtype
    merged: keras.Model = plain.from_config(config)
    write_whole_config(merged)
    return merged


def _merge_block(old: Layer, new: Layer, family: Family) -> None:
    """Write the MLP of `old`, merged and padded, into the MLP of `new`."""
    width = _width(attrgetter(family.down)(new))
    for name in family.slots:
        layer, target = attrgetter(name)(old), attrgetter(name)(new)
        axis = 0 if name == family.down else 1
        if isinstance(layer, GrowableDense):
            kernel, bias = merged_kernel(layer), merged_bias(layer)
        else:
            kernel, bias = layer.kernel, layer.bias
        target.kernel.assign(expand.pad_width(kernel, width, axis))
        if bias is not None:
            bias = bias if axis == 0 else expand.pad_width(bias, width, 0)
            target.bias.assign(bias)


def _copy_rest(
    backbone: keras.Model, merged: keras.Model, family: Family
) -> None:
    """Copy every weight outside of the MLPs; LoRA is merged in.

    By position: KerasHub numbers some layers anew for every model.
    """
    old = _but(backbone, _mlps(backbone, family))
    new = _but(merged, _mlps(merged, family))
    _copy_weights(old, new, backbone)


def _task_over(
    merged: keras.Model, model: Any, dtype: str | None
) -> keras.Model:
    """The task `model` over another backbone, with its own other weights."""
    plain = plain_class_of(model)
    config = plain.get_config(model)
    config.update(backbone=merged, preprocessor=model.preprocessor)
    if dtype is not None and "dtype" in config:
        config["dtype"] = dtype
    task: keras.Model = plain.from_config(config)
    old, new = _but(model, model.backbone.weights), _but(task, merged.weights)
    _copy_weights(old, new, model)
    return task


def _copy_weights(
    old: list[keras.Variable], new: list[keras.Variable], owner: keras.Model
) -> None:
    """Copy weights of `owner` one by one; LoRA is merged in."""
    merged = {}
    for layer in lora_layers(owner):
        if isinstance(layer, keras.layers.Embedding):
            merged[id(embedding_variable(layer))] = layer.embeddings
        else:
            merged[id(kernel_variable(layer))] = layer.kernel
    for source, target in zip(old, new, strict=True):
        value = merged.get(id(source), source)
        target.assign(ops.copy(ops.cast(value, target.dtype)))


def _mlps(backbone: keras.Model, family: Family) -> list[keras.Variable]:
    """The weights of the MLPs of a backbone."""
    return [
        weight
        for block in family.blocks_of(backbone)
        for layer in family.mlp_of(block)
        for weight in layer.weights
    ]


def _but(
    model: keras.Model, others: list[keras.Variable]
) -> list[keras.Variable]:
    """The weights of a model but for others, and for LoRA."""
    gone = {id(weight) for weight in (*others, *lora_variables(model))}
    return [weight for weight in model.weights if id(weight) not in gone]


def _width(layer: Any) -> int:
    if isinstance(layer, GrowableDense):
        return layer.width
    return int(layer.kernel.shape[0])

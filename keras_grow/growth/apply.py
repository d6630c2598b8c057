"""Growing MLPs: from a config to `GrowableDense` layers in their place."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.layers import Layer

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import Family
from keras_grow.layers import expand
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.growable_dense import base_of
from keras_grow.layers.growable_dense import check_growable
from keras_grow.layers.growable_dense import slice_like
from keras_grow.layers.quantised import float_kernel
from keras_grow.layers.quantised import weights_only


def grow_mlp(
    up: Layer | Sequence[Layer],
    down: Layer,
    *,
    factor: int = 2,
    strategy: str = "g_freeze",
    init: str = "copy",
    shares: str = "equal",
    slice_dtype: str = "float32",
    seed: int = 0,
) -> tuple[list[GrowableDense], GrowableDense]:
    """Grow one MLP that is made of dense layers, preserving its function.

    The layers passed in become the bases of the returned ones; nothing is
    copied but what the slices start from, and the originals are unchanged but
    for `trainable`, which is set to False. Use the returned layers in their
    place. See `grow_model` for the arguments, and arXiv 2603.08647, section 3,
    for the equations.

    Args:
        up: the built up-projection, or a sequence of them where the MLP is
            gated: `Dense` or `EinsumDense` with kernels `[h, p]`.
        down: the built down-projection, kernel `[p, h]`.
        factor: int of 2 or more.
        strategy: `"g_freeze"` or `"g_train"`.
        init: `"copy"`, `"zero_down"`, `"random_zero_down"` or `"zeros"`.
        shares: `"equal"` or `"unequal"`.
        slice_dtype: dtype of the new variables.
        seed: seed of `"random_zero_down"`.

    Returns:
        The grown up-projections and the grown down-projection.

    Raises:
        ValueError: if a layer is unbuilt, quantised, under LoRA or of another
            kind, or an argument is out of range.

    Example:

    ```python
    import keras
    import keras_grow

    up = keras.layers.Dense(8, activation="relu")
    down = keras.layers.Dense(4)
    mlp = keras.Sequential([keras.Input((4,)), up, down])
    (grown_up,), grown_down = keras_grow.grow_mlp(up, down)
    grown = keras.Sequential([keras.Input((4,)), grown_up, grown_down])
    ```
    """
    ups = [up] if isinstance(up, Layer) else list(up)
    config = GrowthConfig(
        factor=factor,
        layers=(0,),
        strategy=strategy,
        init=init,
        shares=shares,
        slice_dtype=slice_dtype,
        seed=seed,
    )
    warn_dead_point(config)
    check_mlp(ups, down, config)
    number = 1 + len(getattr(down, "slices", ()))
    grown_ups, grown_down = _grow(ups, down, config, number, seed=(seed,))
    new = slice_names(config, number)
    for grown in (*grown_ups, grown_down):
        for layer in (grown.base, *grown.slices):
            layer.trainable = layer.name in new
    return grown_ups, grown_down


def grow_blocks(
    backbone: keras.Model, family: Family, config: GrowthConfig, number: int
) -> dict[Layer, dict[str, GrowableDense]]:
    """Make the grown layers of every block of `config`, changing nothing.

    Args:
        backbone: the backbone.
        family: its row of data.
        config: the growth.
        number: how many-eth growth of the backbone it is, from 1. It names
            the slices.

    Returns:
        For each block, the grown layer for each attribute of the block.
    """
    blocks = family.blocks_of(backbone)
    for index in config.layers:
        *ups, down = family.mlp_of(blocks[index])
        check_mlp(ups, down, config, f" of block {index}")
    grown = {}
    for index in config.layers:
        block = blocks[index]
        *ups, down = family.mlp_of(block)
        with keras.name_scope(block.name):
            new_ups, new_down = _grow(
                ups, down, config, number, seed=(config.seed, index)
            )
        layers = (*new_ups, new_down)
        grown[block] = dict(zip(family.slots, layers, strict=True))
    return grown


def check_mlp(
    ups: Sequence[Layer], down: Layer, config: GrowthConfig, where: str = ""
) -> None:
    """Refuse an MLP that cannot be grown as `config` says.

    Args:
        ups: its up-projections.
        down: its down-projection.
        config: the growth.
        where: words for the message, such as `" of block 3"`.

    Raises:
        ValueError: with what is wrong.
    """
    for layer in (*ups, down):
        base = base_of(layer)
        name = f"the layer `{layer.name}`{where}"
        check_growable(base)
        if not layer.built:
            raise ValueError(
                f"Expected a built model. Received: {name}, which has no "
                "weights yet. Call the model once, or `build` it."
            )
        if not weights_only(base):
            raise ValueError(
                f"Expected float weights to copy. Received: {name}, quantised "
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
        if isinstance(layer, GrowableDense) and (
            layer.fold or config.strategy == "g_train"
        ):
            raise ValueError(
                "Expected a grown model to be grown again with "
                '`strategy="g_freeze"` on top of "g_freeze": "g_train" trains '
                "the up-projection as a whole, so there is no earlier part to "
                f"keep. Received: strategy={config.strategy!r} on {name}. Use "
                "`keras_grow.merge_growth` or `keras_grow.remove_growth` "
                "first."
            )


def warn_dead_point(config: GrowthConfig) -> None:
    """Say so where the config describes a growth that cannot learn."""
    if config.init == "zeros":
        warnings.warn(
            'With `init="zeros"` up- and down-projection of the new slices '
            "are both zero, so every gradient of a gated MLP is zero and "
            'nothing is learnt. `init="zero_down"` keeps the up-projection.',
            UserWarning,
            stacklevel=3,
        )


def _grow(
    ups: Sequence[Layer],
    down: Layer,
    config: GrowthConfig,
    number: int,
    seed: tuple[int, ...],
) -> tuple[list[GrowableDense], GrowableDense]:
    """Grow an MLP that `check_mlp` accepted."""
    grown = [
        _grow_up(layer, config, number, (*seed, slot))
        for slot, layer in enumerate(ups)
    ]
    if config.strategy == "g_train":
        return grown, GrowableDense(
            down, "input", fold=config.factor, shares=config.shares
        )
    return grown, _grow_down(down, config, number)


def slice_names(config: GrowthConfig, number: int) -> list[str]:
    """Names of the slices that the `number`-th growth adds to a layer."""
    if config.strategy == "g_freeze":
        return [f"slice_{number}"]
    return [f"slice_{number}_copy_{copy}" for copy in range(config.factor)]


def _grow_up(
    layer: Layer, config: GrowthConfig, number: int, seed: tuple[int, ...]
) -> GrowableDense:
    # The copies of G-Train have the base's shape, so that each product rounds
    # like the base's.
    whole = config.strategy == "g_train"
    copies = 1 if whole else config.factor - 1
    grown, slices = _add_slices(
        layer,
        "output",
        copies,
        config,
        slice_names(config, number),
        fold=config.factor if whole else None,
    )
    for new in slices:
        kernel = ops.cast(float_kernel(grown.base), new.kernel.dtype)
        if config.init == "random_zero_down":
            noise = np.random.default_rng(seed).standard_normal(
                new.kernel.shape
            )
            new.kernel.assign(ops.cast(noise, kernel.dtype) * ops.std(kernel))
        elif config.init != "zeros":
            new.kernel.assign(expand.copy_columns(kernel, copies))
            if new.bias is not None:
                bias = ops.cast(grown.base.bias, new.bias.dtype)
                new.bias.assign(expand.copy_columns(bias, copies))
    return grown


def _grow_down(
    layer: Layer, config: GrowthConfig, number: int
) -> GrowableDense:
    share = getattr(layer, "base_share", 1.0)
    if config.init == "copy":
        share = share / config.factor
    copies = config.factor - 1
    names = slice_names(config, number)
    grown, (new,) = _add_slices(
        layer, "input", copies, config, names, base_share=share
    )
    if config.init == "copy":
        kernel = ops.cast(float_kernel(grown.base), new.kernel.dtype)
        new.kernel.assign(expand.copy_rows(kernel, copies, share))
    return grown


def _add_slices(
    layer: Layer,
    grows: str,
    copies: int,
    config: GrowthConfig,
    names: Sequence[str],
    **kwargs: Any,
) -> tuple[GrowableDense, list[Layer]]:
    """`layer` with further slices, whose weights are zero."""
    base = base_of(layer)
    width = copies * base.kernel.shape[1 if grows == "output" else 0]
    slices = [
        slice_like(base, grows, width, name, config.slice_dtype)
        for name in names
    ]
    grown = GrowableDense(
        base,
        grows,
        slices=[*getattr(layer, "slices", ()), *slices],
        slice_widths=[
            *getattr(layer, "slice_widths", ()),
            *[width] * len(slices),
        ],
        **kwargs,
    )
    rows = base.kernel.shape[0] if grows == "output" else grown.width
    rank = base.input_spec.ndim or 2
    grown.build((*(None,) * (rank - 1), rows))
    return grown, slices

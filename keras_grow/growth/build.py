"""Build what a growth adds: from a config to `GrowableDense` layers."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from keras.layers import Layer

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import Init
from keras_grow.growth.config import Shares
from keras_grow.growth.config import SliceDtype
from keras_grow.growth.config import Strategy
from keras_grow.growth.families import Family
from keras_grow.growth.growable import check_mlp
from keras_grow.growth.growable import warn_dead_point
from keras_grow.layers import expand
from keras_grow.layers.dense_slices import slice_like
from keras_grow.layers.folded_dense import CopiedDense
from keras_grow.layers.folded_dense import Fold
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.layers.growable_dense import base_layer_of
from keras_grow.layers.int8 import float_kernel


def grow_mlp(
    up: Layer | Sequence[Layer],
    down: Layer,
    *,
    factor: int = 2,
    strategy: Strategy = "g_freeze",
    init: Init = "copy",
    shares: Shares = "equal",
    slice_dtype: SliceDtype = "float32",
    seed: int = 0,
) -> tuple[list[GrowableDense], GrowableDense]:
    """Grow one MLP that is made of dense layers, preserving its function.

    The layers passed in become the bases of the returned ones. Only what the
    slices start from is copied, and only `trainable` of the originals changes,
    to False. Use the returned layers in their place. See `grow_model` for the
    arguments, and arXiv 2603.08647, section 3, for the equations.

    Args:
        up: the built up-projection, or a sequence of them where the MLP is
            gated: `Dense` or `EinsumDense` with kernels `[h, p]`.
        down: the built down-projection, kernel `[p, h]`.
        factor: int of 2 or more.
        strategy: `"g_freeze"`, `"g_freeze_up"` or `"g_train"`.
        init: `"copy"`, `"zero_down"`, `"random_zero_down"` or `"zeros"`.
        shares: `"equal"` or `"unequal"`.
        slice_dtype: dtype of the new variables.
        seed: seed of `"random_zero_down"`.

    Returns:
        The grown up-projections and the grown down-projection.

    Raises:
        ValueError: if a layer is unbuilt, quantized, under LoRA or of another
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
    earlier = _growths_of_layer(down)
    config = GrowthConfig(
        factor=factor,
        layers=(0,),
        strategy=strategy,
        init=init,
        shares=shares,
        slice_dtype=slice_dtype,
        seed=seed,
        name=f"growth_{len(earlier) + 1}",
        beneath=tuple(earlier.items()),
    )
    warn_dead_point(config)
    check_mlp(ups, down, config)
    _check_share(down, config)
    *grown_ups, grown_down = _grow(ups, down, config, seed=(seed,))
    for grown in (*grown_ups, grown_down):
        for layer in (grown.base, *grown.slices):
            layer.trainable = layer is grown.slices[-1]
    return grown_ups, grown_down


def _check_share(down: Layer, config: GrowthConfig, where: str = "") -> None:
    """Refuse a frozen down-projection of zeros: no gradient passes it."""
    if config.strategy != "g_freeze_up":
        return
    # The shares of several growths are rounded.
    if abs(_share_taken(down, config)) < 1e-6:
        raise ValueError(
            "Expected growths beneath that leave a share of the base to take. "
            f'Received: strategy="g_freeze_up"{where} on top of '
            f"{dict(config.beneath)}, which leave nothing of the base: the new "
            'slices would never learn. Use `strategy="g_freeze"`, or other '
            "scales, with `keras_grow.set_growths`."
        )


def grow_blocks(
    blocks: Sequence[Layer],
    family: Family,
    config: GrowthConfig,
    stored: bool = False,
) -> dict[Layer, dict[str, GrowableDense]]:
    """The grown layers of every block of `config`, with nothing changed yet."""
    for index in config.layers:
        family.check_block(blocks[index], index)
        *ups, down = family.mlp_of(blocks[index])
        check_mlp(ups, down, config, f" of block {index}", stored)
        if not stored:
            _check_share(down, config, f" of block {index}")
    grown = {}
    for index in config.layers:
        block = blocks[index]
        *ups, down = family.mlp_of(block)
        with keras.name_scope(block.name):
            layers = _grow(ups, down, config, seed=(config.seed, index))
        grown[block] = dict(zip(family.slots, layers, strict=True))
    return grown


def without(layer: GrowableDense, names: Sequence[str]) -> Layer:
    """`layer` without the slices of some growths; the base if none is left."""
    kept = [
        index for index, new in enumerate(layer.slices) if new.name not in names
    ]
    if not kept:
        return layer.base
    fields = ("slices", "slice_widths", "base_shares", "scales")
    values = {
        field: [getattr(layer, field)[index] for index in kept]
        for field in fields
    }
    return GrowableDense(layer.base, layer.grows, **values)


def _growths_of_layer(layer: Layer) -> dict[str, float]:
    """Names and scales of the growths that are active in a layer."""
    if not isinstance(layer, GrowableDense):
        return {}
    names = [new.name for new in layer.slices]
    pairs = zip(names, layer.scales, strict=True)
    return {name: scale for name, scale in pairs if scale}


def _grow(
    ups: Sequence[Layer],
    down: Layer,
    config: GrowthConfig,
    seed: tuple[int, ...],
) -> list[GrowableDense]:
    """Grow an MLP that `check_mlp` accepted; the down-projection is last."""
    share = _share_taken(down, config)
    grown = [
        _grow_up(layer, config, share, (*seed, slot))
        for slot, layer in enumerate(ups)
    ]
    return [*grown, _grow_down(down, config, share)]


def _share_taken(down: Layer, config: GrowthConfig) -> float:
    """The share of the base that a growth takes over, `c`.

    A copy takes `1 - 1/k` of what the growths beneath it left, G-Train takes
    all of it, and a zero down-projection takes nothing.
    """
    if config.init != "copy":
        return 0.0
    left = 1.0
    if isinstance(down, GrowableDense):
        beneath = dict(config.beneath)
        for new, share in zip(down.slices, down.base_shares, strict=True):
            left -= beneath.get(new.name, 0.0) * share
    if config.strategy == "g_train":
        return left
    return left * (1.0 - 1.0 / config.factor)


def _grow_up(
    layer: Layer, config: GrowthConfig, share: float, seed: tuple[int, ...]
) -> GrowableDense:
    base = base_layer_of(layer)
    width = base.kernel.shape[1]
    if config.strategy == "g_train":
        new: Layer = CopiedDense(
            [
                slice_like(
                    base, "output", width, f"copy_{copy}", config.slice_dtype
                )
                for copy in range(config.factor)
            ],
            name=config.name,
            dtype=base.compute_dtype,
        )
        width *= config.factor
    else:
        width *= config.factor - 1
        new = slice_like(base, "output", width, config.name, config.slice_dtype)
    grown = _add_slice(layer, "output", new, width, share)
    copies = getattr(new, "copies", [new])
    for part in copies:
        _start_up(part, base, config, seed)
    return grown


def _start_up(
    new: Layer, base: Layer, config: GrowthConfig, seed: tuple[int, ...]
) -> None:
    """Give a new up-projection the weights that it starts from."""
    kernel = ops.cast(float_kernel(base), new.kernel.dtype)
    if config.init == "random_zero_down":
        noise = np.random.default_rng(seed).standard_normal(new.kernel.shape)
        new.kernel.assign(ops.cast(noise, kernel.dtype) * ops.std(kernel))
    elif config.init != "zeros":
        copies = new.kernel.shape[1] // kernel.shape[1]
        new.kernel.assign(expand.copy_columns(kernel, copies))
        if new.bias is not None:
            bias = ops.cast(base.bias, new.bias.dtype)
            new.bias.assign(expand.copy_columns(bias, copies))


def _grow_down(
    layer: Layer, config: GrowthConfig, share: float
) -> GrowableDense:
    base = base_layer_of(layer)
    width = base.kernel.shape[0]
    whole = config.strategy == "g_train"
    copies = config.factor if whole else config.factor - 1
    if config.strategy != "g_freeze":
        new: Layer = Fold(
            copies,
            width,
            config.shares,
            total=1.0 if whole else share,
            name=config.name,
            dtype=base.compute_dtype,
        )
        return _add_slice(layer, "input", new, copies * width, share)
    new = slice_like(
        base, "input", copies * width, config.name, config.slice_dtype
    )
    grown = _add_slice(layer, "input", new, copies * width, share)
    if config.init == "copy":
        kernel = ops.cast(float_kernel(base), new.kernel.dtype)
        new.kernel.assign(expand.copy_rows(kernel, copies, share / copies))
    return grown


def _add_slice(
    layer: Layer, grows: str, new: Layer, width: int, share: float
) -> GrowableDense:
    """`layer` with one slice more, built, whose weights are still zero."""
    base = base_layer_of(layer)
    grown = GrowableDense(
        base,
        grows,
        slices=[*getattr(layer, "slices", ()), new],
        slice_widths=[*getattr(layer, "slice_widths", ()), width],
        base_shares=[*getattr(layer, "base_shares", ()), share],
        scales=[*getattr(layer, "scales", ()), 1.0],
    )
    rows = base.kernel.shape[0]
    if grows == "input":
        rows += sum(grown.slice_widths)
    rank = base.input_spec.ndim or 2
    grown.build((*(None,) * (rank - 1), rows))
    return grown

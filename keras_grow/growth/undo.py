"""The state of a model before it grew, and how to restore it."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keras_grow.growth import lora
from keras_grow.growth.classes import note_growths
from keras_grow.growth.compiled import functions_of
from keras_grow.growth.compiled import install
from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import sync
from keras_grow.growth.grown_block import put
from keras_grow.growth.state import ModelState
from keras_grow.growth.trainable import TrainableFlags
from keras_grow.growth.trainable import train_only
from keras_grow.keras_internals import flatten_layers

_BEFORE = "_trainable_before_growth"


@contextlib.contextmanager
def undone_on_errors(state: ModelState) -> Iterator[None]:
    """Put a model back as it was if growing or shrinking it fails.

    Memory can end at any point.

    Layers of the base that come under LoRA inside the block stay under it;
    their kernels are those of a new LoRA, which change nothing.
    """
    # Functions of an earlier dial are set aside, not kept for this one.
    sync(state.model)
    growths, scales = state.growths, state.scales
    slots = state.family.slots
    blocks = [
        (block, dict(zip(slots, state.family.mlp_of(block), strict=True)))
        for block in state.blocks
    ]
    cls = type(state.model)
    flags = TrainableFlags(state.model)
    remembered = vars(state.backbone).get(_BEFORE)
    parts: list[tuple[Any, dict[str, Any], Any]] = [
        (part, functions_of(part), getattr(part, "optimizer", None))
        for part in models_in(state.model)
    ]
    try:
        yield
    except BaseException:
        for block, layers in blocks:
            put(block, layers)
        note_growths(state, growths)
        state.set_scales(scales)
        if growths:
            lora.note(state.backbone)
        else:
            lora.save_merged(state.backbone)
        state.model.__class__ = cls
        flags.restore()
        vars(state.backbone).pop(_BEFORE, None)
        if remembered is not None:
            remember(state.backbone, remembered)
        for part, functions, optimizer in parts:
            install(part, functions)
            if optimizer is not None:
                part.optimizer = optimizer
        raise


def remember(backbone: Any, flags: TrainableFlags) -> None:
    """Keep what trained before the first growth, for `remove_growth`."""
    if not hasattr(backbone, _BEFORE):
        object.__setattr__(backbone, _BEFORE, flags)


def restore_trainable(backbone: Any) -> None:
    """Let train again what trained before the first growth."""
    flags = vars(backbone).pop(_BEFORE, None)
    if flags is None:
        under_lora = bool(lora.lora_layers(backbone))
        train_only(backbone, () if under_lora else flatten_layers(backbone))
    else:
        flags.restore()

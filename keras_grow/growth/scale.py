"""The dial: which growths are active, and how much of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from keras_grow.growth.classes import become_grown_task
from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import sync
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import check_scales
from keras_grow.growth.families import backbone_of
from keras_grow.growth.in_fit import check_not_in_fit
from keras_grow.growth.locks import lock_of
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import grown_state
from keras_grow.growth.state import growths_on
from keras_grow.growth.switch import check_switched_on


@dataclass(frozen=True)
class Growth:
    """One growth of a model, as it is now.

    Attributes:
        config: what defines it.
        scale: where its dial stands: 0 is the base, 1 the growth as trained.
        trainable: whether its slices train.
    """

    config: GrowthConfig
    scale: float
    trainable: bool


def growths(model: keras.Model) -> dict[str, Growth]:
    """The growths of a model by their names.

    Args:
        model: a KerasHub task or backbone, or a Keras model around one that
            is grown.

    Returns:
        A `Growth` for each name, oldest first; empty for a base model.

    Raises:
        TypeError: if `model` is not a KerasHub model.

    Example:

    ```python
    keras_grow.grow_model(lm, name="french")
    keras_grow.growths(lm)["french"].scale  # 1.0
    ```
    """
    backbone = backbone_of(_grown_part(model))
    if not growths_on(backbone):
        return {}
    state = ModelState.over(model, backbone)
    scales = state.scales
    return {
        config.name: Growth(
            config,
            scales[config.name],
            any(
                weight.trainable
                for layer in state.slices(config.name)
                for weight in layer.weights
            ),
        )
        for config in state.growths
    }


def set_growths(
    model: keras.Model, growths: str | Mapping[str, float]
) -> keras.Model:
    """Choose the growths that a model computes with, and how much of each.

    With the base's output `b` of a block's MLP and that of growth `i` alone
    `g_i`, growths that were each trained on the bare base add up to
    `b + sum_i s_i (g_i - b)`. At scale 1 a growth is what was trained, at 0
    the base bit for bit, and between them lies a dial that needs no training.

    A scale is a variable: turning the dial compiles nothing. A growth at
    scale 0 is not computed, so the first use of another set of growths
    compiles once; what was compiled is kept for each set.

    LoRA beside the growths is part of none of them and has no dial: it stays on
    at every scale, at `{}` too. `growth_disabled` turns both off, and so do the
    `"none"` of a router and the state `{}` of a `Streamer`, which are the base.

    Args:
        model: a grown KerasHub task or backbone, or a Keras model around one.
            Other tasks over the same backbone, and the backbone, turn with it;
            of models around it, only the one that is passed.
        growths: the name of one growth, which is set to scale 1, with those
            that it lies on at the scales that it was trained over; or scales by
            name. Growths that are not named are set to 0, so `{}` is the base,
            with its LoRA if it has any.

    Returns:
        `model`, changed in place.

    Raises:
        ValueError: if the model is not grown, inside `growth_disabled` or in
            a running `fit`, or a name or a scale is not valid. The model is
            as it was.

    Example:

    ```python
    keras_grow.set_growths(lm, "french")
    keras_grow.set_growths(lm, {"french": 0.5, "science": 1.0})
    keras_grow.set_growths(lm, {})  # The base.
    ```
    """
    state = grown_state(_grown_part(model))
    check_not_in_fit(model, "set_growths")
    check_switched_on(model)
    wanted: Any = growths
    if isinstance(growths, str):
        beneath = {config.name: config.beneath for config in state.growths}
        wanted = {**dict(beneath.get(growths, ())), growths: 1.0}
    if isinstance(wanted, Mapping):
        wanted = dict(wanted)
    scales = check_scales(wanted, state.names)
    # It may have been made over a backbone that had grown.
    become_grown_task(state.model)
    with lock_of(state.backbone):
        sync(model)
        state.set_scales(scales)
        sync(model)
    return model


def _grown_part(model: Any) -> Any:
    """The grown backbone inside a model that is none of KerasHub's."""
    if not isinstance(model, keras.Model) or hasattr(model, "backbone"):
        return model
    inside = [part for part in models_in(model) if growths_on(part)]
    return inside[0] if len(inside) == 1 else model

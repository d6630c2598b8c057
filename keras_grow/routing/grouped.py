"""Prompts grouped by growth, and the dial set for each group."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.evaluation.tokens import check_texts
from keras_grow.growth.dial import dial_restored
from keras_grow.growth.scale import growths
from keras_grow.growth.scale import set_growths
from keras_grow.growth.switch import growth_disabled

NONE = "none"


class Routes(NamedTuple):
    """Where prompts go.

    Args:
        names: the growth of each prompt, `"none"` for the base.
        probabilities: of each class, float64 `[prompts, classes]`; the
            classes are those of `GrowthRouter.classes`, `"none"` last.
    """

    names: list[str]
    probabilities: NDArray[np.float64]


def run_grouped(
    lm: keras.Model,
    names: Sequence[str],
    scales: Mapping[str, float],
    run: Callable[[str, list[int]], None],
) -> None:
    """Call a function once for each growth that has prompts.

    `names` has the growth of each prompt, or `"none"`. `run` takes a name and
    the indices of its prompts. When it is called, the model computes with that
    growth, at its scale, and those that it was trained on; for `"none"`, which
    comes first, it is the base. The dial is put back, also after any error.
    """
    check_names(lm, [name for name in names if name != NONE])
    configs = {name: growth.config for name, growth in growths(lm).items()}
    with dial_restored(lm):
        for name in (NONE, *scales):
            indices = [i for i, own in enumerate(names) if own == name]
            if not indices:
                continue
            if name == NONE:
                # Off is more than every dial at 0: LoRA has no dial.
                with growth_disabled(lm):
                    run(name, indices)
                continue
            beneath = dict(configs[name].beneath)
            set_growths(lm, {**beneath, name: scales[name]})
            run(name, indices)


def check_names(lm: keras.Model, names: Sequence[str]) -> None:
    """Refuse names that no growth of the model has, and `"none"`."""
    known = list(growths(lm))
    missing = sorted({name for name in names if name not in known})
    if missing or NONE in names:
        raise ValueError(
            f"Expected names of growths of the model, {known}, other than "
            f"{NONE!r}. Received: {missing or [NONE]}. Load the growth first."
        )


def checked_texts(
    prompts: Mapping[str, Sequence[str]],
    general: Sequence[str],
    hard_negatives: Sequence[str],
) -> list[list[str]]:
    """The texts of each class: two at least, none of them empty."""
    if not prompts:
        raise ValueError(
            "Expected prompts of one skill at least, by the name of its "
            "growth. Received: prompts={}"
        )
    check_texts(general, "general")
    check_texts(hard_negatives, "hard_negatives")
    texts = {**prompts, NONE: [*general, *hard_negatives]}
    for name, own in texts.items():
        if isinstance(own, str) or len(own) < 2:
            raise ValueError(
                "Expected at least two texts of each skill, and of general "
                f"text. Received: {own!r} for {name!r}"
            )
        empty = sum(not text.strip() for text in own)
        if empty:
            raise ValueError(
                "Expected texts that are not empty. Received: "
                f"{empty} empty texts for {name!r}"
            )
    return [list(own) for own in texts.values()]

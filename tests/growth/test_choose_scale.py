"""`choose_scale`: the largest scale within a budget, and what it tried."""

import math

import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.growth.state import ModelState


def scale_of(lm, name="french"):
    return keras_grow.growths(lm)[name].scale


def move(lm, name):
    rng = np.random.default_rng(0)
    for layer in ModelState.of(lm).slices(name):
        for weight in layer.weights:
            noise = rng.normal(0, 0.3, weight.shape)
            weight.assign(ops.convert_to_numpy(weight) + noise)


@pytest.fixture(scope="module")
def lm():
    lm = keras_grow.grow_model(tiny_lm(num_layers=1), name="french")
    move(lm, "french")
    return keras_grow.grow_model(lm, name="science")


def choose(lm, old, **options):
    options = {"name": "french", "new": None, **options}
    return keras_grow.choose_scale(lm, old=old, **options)


def test_the_border_of_the_budget_is_found_to_a_64th(lm):
    # A loss of 2 (1 + s / 10): 2% more is at s = 0.2.
    choice = choose(
        lm,
        lambda model: 2 * (1 + scale_of(model) / 10),
        new=lambda model: 5 - scale_of(model),
    )
    assert choice.scale == 12 / 64
    assert scale_of(lm) == 12 / 64
    assert choice.new == 5 - 12 / 64
    np.testing.assert_allclose(choice.increase, 12 / 640)
    assert len(choice.tried) == 8
    assert [t.scale for t in choice.tried] == sorted(
        t.scale for t in choice.tried
    )
    assert choice.monotone
    assert "0.1875" in str(choice)


@pytest.mark.parametrize(
    ("slope", "steps", "scale", "tried"),
    [(0.1, 6, 1.0, 2), (100.0, 6, 0.0, 8), (0.2, 0, 0.0, 2)],
)
def test_the_whole_growth_none_of_it_and_no_search(
    lm, slope, steps, scale, tried
):
    choice = choose(
        lm,
        lambda model: 1 + slope * scale_of(model),
        budget=0.1,
        steps=steps,
    )
    assert (choice.scale, len(choice.tried)) == (scale, tried)
    assert scale_of(lm) == scale


def test_the_choice_rests_on_the_models_outputs(lm):
    """Against a search of all 64ths, on the outputs of the model."""
    batch = token_batch()
    keras_grow.set_growths(lm, {})
    start = ops.convert_to_numpy(lm(batch))

    def change(model):
        return 1 + np.abs(ops.convert_to_numpy(model(batch)) - start).mean()

    choice = choose(lm, change, budget=0.03)
    within = []
    for part in range(65):
        keras_grow.set_growths(lm, {"french": part / 64})
        if change(lm) <= 1.03:
            within.append(part / 64)
    assert 0.0 < choice.scale < 1.0
    assert choice.scale == max(within)


def test_a_figure_that_falls_again_is_reported_and_the_choice_keeps_the_budget(
    lm,
):
    def bump(model):
        return 1 + 0.5 * math.sin(math.pi * 3 * scale_of(model)) ** 2 + 0.001

    # At 1 the figure is back: all of it is taken, though 1/6 is far over.
    assert choose(lm, bump).scale == 1.0

    def lopsided(model):
        scale = scale_of(model)
        return {0.0: 1.0, 0.5: 1.5, 1.0: 1.2}.get(scale, 1.0 + scale / 100)

    choice = choose(lm, lopsided, steps=3)
    assert not choice.monotone
    assert choice.scale == 3 / 8
    assert choice.increase <= 0.02
    assert "did not rise steadily" in str(choice)


def test_nan_is_outside_the_budget(lm):
    choice = choose(
        lm, lambda model: math.nan if scale_of(model) > 0.3 else 1.0
    )
    assert choice.scale == 19 / 64


def test_other_growths_keep_their_scales(lm):
    keras_grow.set_growths(lm, {"french": 0.4, "science": 0.7})
    choose(lm, lambda model: 1 + scale_of(model), budget=0.5, steps=1)
    assert (scale_of(lm), scale_of(lm, "science")) == (0.5, 0.7)


@pytest.mark.parametrize("at", [0.0, 0.5])
def test_an_error_restores_the_dial(lm, at):
    keras_grow.set_growths(lm, {"french": 0.4, "science": 0.7})

    def old(model):
        if scale_of(model) == at:
            raise KeyError("no text")
        return 1 + scale_of(model)

    with pytest.raises(KeyError):
        choose(lm, old)
    assert (scale_of(lm), scale_of(lm, "science")) == (0.4, 0.7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"old": lambda _: 0.0}, "positive number at scale 0"),
        ({"budget": -0.1}, "budget"),
        ({"steps": 60}, "steps"),
        ({"name": None}, "name=None"),
        ({"name": "german"}, "name='german'"),
    ],
)
def test_arguments_that_allow_no_choice_are_refused(lm, options, said):
    options = {"old": lambda _: 1.0, **options}
    with pytest.raises(ValueError, match=said):
        choose(lm, **options)

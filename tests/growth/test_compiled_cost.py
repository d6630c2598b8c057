"""What the compiled train step computes, against the formulas of the costs.

The sizes make weight products 93% of all operations or more, so XLA's own
count, which includes norms, softmax and rotations, stays within 8% of the
formula; differences between two models stay within 3%.
"""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm

import keras_grow
from keras_grow.growth import costs
from keras_grow.growth.families import family_of
from keras_grow.growth.state import growths_of

pytestmark = [
    pytest.mark.exact,
    pytest.mark.skipif(
        keras.config.backend() != "jax", reason="reads programs of JAX"
    ),
]

HIDDEN, WIDTH, ROWS, LENGTH = 256, 1024, 4, 32
MARGIN = 1.08
BATCH = {
    "token_ids": np.ones((ROWS, LENGTH), "int32"),
    "padding_mask": np.ones((ROWS, LENGTH), bool),
}


def model(layers, strategy="g_freeze"):
    lm = tiny_lm(
        "gemma3",
        vocabulary_size=512,
        hidden_dim=HIDDEN,
        intermediate_dim=WIDTH,
        head_dim=64,
        num_layers=3,
    )
    if layers is not None:
        keras_grow.grow_model(lm, layers=layers, strategy=strategy)
    return lm


def train_step(lm):
    """The step that `fit` compiles, and its arguments."""
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD(1e-3),
        weighted_metrics=[],
    )
    lm.optimizer.build(lm.trainable_variables)
    parts = (
        lm.trainable_variables,
        lm.non_trainable_variables,
        lm.optimizer.variables,
        lm.metrics_variables,
    )
    state = [[variable.value for variable in part] for part in parts]
    return lm.train_step, (state, (BATCH, BATCH["token_ids"]))


def compiled_flops(layers, strategy="g_freeze"):
    """Operations per token: XLA's count, and the formula's."""
    import jax

    lm = model(layers, strategy)
    step, arguments = train_step(lm)
    analysis = jax.jit(step).lower(*arguments).compile().cost_analysis()
    shape = costs.ModelShape.of(lm.backbone, family_of(lm.backbone))
    if layers is None:
        formula = costs.sft_step_flops(shape, LENGTH)
    else:
        formula = costs.growth_step_flops(shape, growths_of(lm), LENGTH)
    return analysis["flops"] / (ROWS * LENGTH), formula


def equations(jaxpr):
    """Every equation of a program, including those of inner programs."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for inner in value if isinstance(value, (list, tuple)) else [value]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


def shapes(variables):
    return [tuple(v.aval.shape) for v in variables]


def test_a_step_costs_what_the_formula_says_down_to_the_lowest_grown_block():
    cases = {
        "sft": None,
        "last": [2],
        "spread": [0, 2],
        "lowest": [0],
    }
    counted, formula = {}, {}
    for name, layers in cases.items():
        counted[name], formula[name] = compiled_flops(layers)
        assert 1.0 <= counted[name] / formula[name] <= MARGIN, name
    # One grown block each: they differ by the backward pass through the blocks
    # between them, and by nothing else.
    saved = counted["lowest"] - counted["last"]
    assert saved == pytest.approx(formula["lowest"] - formula["last"], rel=0.03)
    assert saved > 0.2 * formula["lowest"]


@pytest.mark.parametrize("strategy", ["g_freeze_up", "g_train"])
def test_other_strategies_cost_what_the_formula_says(strategy):
    counted, formula = compiled_flops([1, 2], strategy)
    assert 1.0 <= counted / formula <= MARGIN


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_kernels_are_never_concatenated_in_a_step(strategy):
    import jax

    step, arguments = train_step(model(3, strategy))
    program = list(equations(jax.make_jaxpr(step)(*arguments).jaxpr))
    joined = [
        shape
        for equation in program
        if equation.primitive.name == "concatenate"
        for shape in shapes(equation.outvars)
    ]
    # Activations are joined: the neurons of base and slice side by side.
    joined_sizes = {(np.prod(shape[:-1]), shape[-1]) for shape in joined}
    assert (ROWS * LENGTH, 2 * WIDTH) in joined_sizes
    assert not {(HIDDEN, 2 * WIDTH), (2 * WIDTH, HIDDEN)} & set(joined)


def test_a_kernels_gradient_sums_over_one_axis_of_positions():
    # Over two, XLA transposes the activations, which are the wider side.
    import jax

    step, arguments = train_step(model(3))
    program = list(equations(jax.make_jaxpr(step)(*arguments).jaxpr))
    contracted = [
        [
            equation.invars[0].aval.shape[axis]
            for axis in equation.params["dimension_numbers"][0][0]
        ]
        for equation in program
        if equation.primitive.name == "dot_general"
        and {(HIDDEN, WIDTH), (WIDTH, HIDDEN)} & set(shapes(equation.outvars))
    ]
    assert len(contracted) == 3 * 3
    assert all(sum(n > 1 for n in sizes) == 1 for sizes in contracted)


# G-Freeze-Up multiplies it once, for the base and the new neurons together.
@pytest.mark.parametrize("strategy", ["g_freeze_up", "g_train"])
def test_the_frozen_down_projection_is_stored_and_multiplied_once(strategy):
    import jax

    blocks = 3
    lm = model(blocks, strategy)
    downs = [w for w in lm.weights if tuple(w.shape) == (WIDTH, HIDDEN)]
    assert len(downs) == blocks
    assert not any(w.trainable for w in downs)
    assert not [w for w in lm.weights if 2 * WIDTH in w.shape]
    step, arguments = train_step(lm)
    products = [
        equation
        for equation in equations(jax.make_jaxpr(step)(*arguments).jaxpr)
        if equation.primitive.name == "dot_general"
        and (WIDTH, HIDDEN) in shapes(equation.invars)
    ]
    # Forward and backward in each block; no gradient for the kernel.
    assert len(products) == 2 * blocks


def test_active_growths_cost_their_slices_and_nothing_else():
    import jax

    lm = model(None)
    names = [f"skill_{index}" for index in range(4)]
    for name in names:
        keras_grow.grow_model(lm, name=name)
        keras_grow.set_growths(lm, {})
    parts = (lm.trainable_variables, lm.non_trainable_variables)
    counted = {}
    for number in (0, 1, 2, 4):
        keras_grow.set_growths(lm, dict.fromkeys(names[:number], 0.5))
        state = [[variable.value for variable in part] for part in parts]
        forward = jax.jit(lambda *state: lm.stateless_call(*state, BATCH))
        analysis = forward.lower(*state).compile().cost_analysis()
        counted[number] = analysis["flops"]
    blocks, kernels = len(lm.backbone.transformer_layers), 3
    slices = 2 * blocks * kernels * HIDDEN * WIDTH * ROWS * LENGTH
    for number in (1, 2, 4):
        added = counted[number] - counted[0]
        assert added == pytest.approx(number * slices, rel=0.03)

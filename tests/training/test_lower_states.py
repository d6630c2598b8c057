"""Training the top on stored states equals training the whole model."""

import gc

import keras
import numpy as np
import pytest
from family_models import batch_for
from family_models import tiny_family
from tiny_models import tiny_lm
from tiny_rows import rows_of_lengths

import keras_grow
from keras_grow import LengthBuckets
from keras_grow import LowerStates
from keras_grow import supervised_logits


def compiled(model):
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return supervised_logits(model, chunk_size=8)


def grown(family):
    lm = tiny_family(family, num_layers=3)
    return keras_grow.grow_model(lm, layers=[1, 2])


def buckets(x, arrays):
    return LengthBuckets(x, *arrays[1:], batch_size=4, lengths=1)


@pytest.mark.parametrize("family", ["Gemma 3", "Llama"])
def test_losses_and_gradients_are_those_of_the_whole_model(family, tmp_path):
    arrays = rows_of_lengths(8)
    whole, lm = grown(family), grown(family)
    before = lm.get_weights()
    states = LowerStates(lm, arrays[0], tmp_path)
    stated = states.nbytes
    top = compiled(states.write(batch_size=4, lengths=1).top())
    assert states.block == 1
    assert (
        stated
        == arrays[0]["padding_mask"].sum()
        * states.x["hidden_states"].shape[2]
        * 4
    )
    assert 0 < states.path.stat().st_size - stated < 1024

    def fit(model, x):
        data = buckets(x, arrays)
        # A step of SGD moves each weight by its gradient.
        log = keras.Model.fit(model, data, epochs=2, verbose=0).history
        return log["loss"]

    with states.below_on_disk():
        losses = fit(top, states.x)
        assert bytes_below(lm, top) == 0
    np.testing.assert_allclose(
        losses, fit(compiled(whole), arrays[0]), rtol=1e-5
    )
    moved = 0
    for ours, theirs, first in zip(
        lm.get_weights(), whole.get_weights(), before, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
        moved += not np.array_equal(ours, first)
    # Two blocks of two up-projections and one down-projection.
    assert moved == 6
    inputs = {name: array[:2] for name, array in arrays[0].items()}
    np.testing.assert_allclose(
        *(keras.ops.convert_to_numpy(model(inputs)) for model in (lm, whole)),
        atol=1e-4,
    )


def test_a_dial_that_turns_before_the_states_are_written(tmp_path):
    arrays = rows_of_lengths(4)
    lm = tiny_lm(num_layers=2)
    keras_grow.grow_model(lm, name="french", layers=[0])
    for weight in lm.trainable_weights:
        weight.assign(weight + 0.1)
    keras_grow.grow_model(lm, name="science", layers=[1])
    states = LowerStates(lm, arrays[0], tmp_path)
    keras_grow.set_growths(lm, {"french": 0.5, "science": 1.0})
    with pytest.raises(ValueError, match="changed below block 1"):
        states.write(batch_size=4)
    assert not states.written
    # What is above does not matter.
    keras_grow.set_growths(lm, {"french": 1.0, "science": 0.3})
    assert states.write(batch_size=4).written


def test_the_top_trains_only_if_its_model_could(tmp_path):
    arrays = rows_of_lengths(4)
    lm = tiny_lm(num_layers=2)
    keras_grow.grow_model(lm, name="french", layers=[1])
    keras_grow.grow_model(lm, name="science", layers=[1])
    states = LowerStates(lm, arrays[0], tmp_path).write(batch_size=4)
    top = compiled(states.top())
    data = buckets(states.x, arrays)
    before = [keras.ops.convert_to_numpy(w) for w in lm.trainable_weights]
    keras_grow.set_growths(lm, {"french": 1.0})
    with pytest.raises(RuntimeError, match="'science', to be active"):
        top.fit(data, verbose=0)
    keras_grow.set_growths(lm, {"science": 1.0})
    with pytest.raises(ValueError, match="no others"):
        top.fit(data, verbose=0)
    for weight, value in zip(lm.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)
    keras_grow.set_growths(lm, "science")
    top.fit(data, verbose=0)


def bytes_below(lm, top):
    """Bytes in memory for weights that the top does not have."""
    gc.collect()
    above = {id(variable) for variable in top.variables}
    below = [v for v in lm.backbone.variables if id(v) not in above]
    table = lm.backbone.token_embedding.embeddings
    tied = lm.backbone.token_embedding.tie_weights
    assert any(table is v for v in below) == (not tied)
    if keras.config.backend() == "torch":
        return sum(v._value.numel() for v in below)
    return sum(v._value is not None for v in below)


@pytest.fixture(scope="module")
def last_block():
    lm = tiny_lm(num_layers=2)
    return keras_grow.grow_model(lm, layers=1)


@pytest.mark.no_backend
def test_states_in_bfloat16_take_half_the_space_and_are_close(
    last_block, tmp_path
):
    x = rows_of_lengths(4)[0]
    half, whole = [
        LowerStates(last_block, x, tmp_path, dtype=dtype).write(batch_size=4)
        for dtype in ("bfloat16", None)
    ]
    assert 2 * half.nbytes == whole.nbytes
    a, b = [s.x["hidden_states"][range(4), :20] for s in (half, whole)]
    np.testing.assert_allclose(a, b, rtol=2**-8)
    assert not np.array_equal(a, b)


@pytest.mark.no_backend
def test_the_file_belongs_to_these_weights_and_these_rows(last_block, tmp_path):
    x = rows_of_lengths(4)[0]
    states = LowerStates(last_block, x, tmp_path)
    assert not states.written
    with pytest.raises(ValueError, match=r"Call `write\(\)` first"):
        states.x["hidden_states"][[0], :4]
    states.write(batch_size=4)
    written = states.path.stat().st_mtime_ns
    again = LowerStates(last_block, x, tmp_path)
    assert again.written
    again.write()
    assert again.path.stat().st_mtime_ns == written
    rows = {name: array[::-1] for name, array in x.items()}
    assert not LowerStates(last_block, rows, tmp_path).written
    kernel = last_block.backbone.transformer_layers[0].weights[0]
    value = keras.ops.convert_to_numpy(kernel)
    kernel.assign(value + 1)
    try:
        assert not LowerStates(last_block, x, tmp_path).written
    finally:
        kernel.assign(value)
    # What trains is above.
    new = last_block.trainable_variables[0]
    new.assign(keras.ops.convert_to_numpy(new) + 1)
    assert LowerStates(last_block, x, tmp_path).written


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tiny_lm(num_layers=2), "whose embedding trains"),
        (
            lambda: keras_grow.grow_model(tiny_lm(num_layers=2)),
            "whose block 0 trains",
        ),
        (
            lambda: keras_grow.grow_model(
                tiny_lm(num_layers=2, dropout=0.1), layers=1
            ),
            "a dropout rate of 0.1",
        ),
        (
            lambda: keras_grow.grow_model(tiny_family("Gemma 3n"), layers=1),
            "Train this family with the whole model",
        ),
    ],
    ids=["not grown", "all grown", "dropout", "Gemma 3n"],
)
def test_a_model_without_states_to_store_is_refused(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        LowerStates(make(), batch_for("Gemma 3"), tmp_path)


@pytest.mark.no_backend
def test_other_inputs_are_refused(last_block, tmp_path):
    x = rows_of_lengths(4)[0]
    with pytest.raises(ValueError, match="dtype='float64'"):
        LowerStates(last_block, x, tmp_path, dtype="float64")
    with pytest.raises(ValueError, match="Expected `x` to hold"):
        LowerStates(last_block, {"token_ids": x["token_ids"]}, tmp_path)
    rows = {**x, "padding_mask": x["padding_mask"][:2]}
    with pytest.raises(ValueError, match="same rows and positions"):
        LowerStates(last_block, rows, tmp_path)

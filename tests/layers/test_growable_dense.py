"""One MLP made by hand: the layer pair without KerasHub."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_grow import GrowableDense
from keras_grow import grow_mlp
from keras_grow.layers.merged import merged_bias
from keras_grow.layers.merged import merged_kernel

X = np.random.default_rng(0).normal(size=(3, 5, 6)).astype("float32")


def dense(units, activation=None, dtype="float32", name=None):
    return keras.layers.Dense(
        units,
        activation=activation,
        dtype=dtype,
        name=name,
        bias_initializer="normal",
    )


def einsum(units, activation=None, dtype="float32", name=None):
    return keras.layers.EinsumDense(
        "btd,df->btf",
        output_shape=(None, units),
        bias_axes="f",
        bias_initializer="normal",
        activation=activation,
        dtype=dtype,
        name=name,
    )


def mlp(make, dtype="float32", activation="tanh"):
    """Up, down and their outputs; down has an activation, too."""
    up = make(8, "relu", dtype, "up")
    down = make(4, activation, dtype, "down")
    model = keras.Sequential([keras.Input(X.shape[1:]), up, down])
    return up, down, as_array(model(X))


def as_array(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


@pytest.mark.exact
@pytest.mark.parametrize("make", [dense, einsum])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strategy": "g_freeze_up"},
        {"strategy": "g_train"},
        {"strategy": "g_train", "shares": "unequal"},
        {"init": "zero_down"},
        {"init": "random_zero_down"},
    ],
    ids=str,
)
def test_a_grown_relu_mlp_with_biases_is_exact_at_factor_2(
    make, dtype, options
):
    up, down, expected = mlp(make, dtype)
    (grown_up,), grown_down = grow_mlp(up, down, **options)
    grown = grown_down(grown_up(X))
    assert grown_up(X).shape[-1] == 16
    np.testing.assert_array_equal(as_array(grown), expected)


@pytest.mark.parametrize("make", [dense, einsum])
@pytest.mark.parametrize("factor", [3, 4, 7])
def test_a_grown_mlp_of_any_factor_agrees_within_rounding(make, factor):
    up, down, expected = mlp(make)
    (grown_up,), grown_down = grow_mlp(up, down, factor=factor)
    np.testing.assert_allclose(
        as_array(grown_down(grown_up(X))), expected, rtol=2e-6, atol=2e-6
    )


def test_it_equals_the_papers_concatenated_kernels():
    up, down, _ = mlp(dense, activation=None)
    w1, b1 = (ops.convert_to_numpy(w) for w in up.weights)
    w2, b2 = (ops.convert_to_numpy(w) for w in down.weights)
    (grown_up,), grown_down = grow_mlp(up, down, factor=3)
    w1_grown = np.concatenate([w1] * 3, axis=1)
    w2_grown = np.concatenate([w2 / 3] * 3, axis=0)
    b1_grown = np.concatenate([b1] * 3)
    np.testing.assert_allclose(as_array(merged_kernel(grown_up)), w1_grown)
    np.testing.assert_allclose(as_array(merged_bias(grown_up)), b1_grown)
    np.testing.assert_allclose(
        as_array(merged_kernel(grown_down)), w2_grown, rtol=1e-6
    )
    np.testing.assert_allclose(as_array(merged_bias(grown_down)), b2)
    expected = np.maximum(X @ w1_grown + b1_grown, 0) @ w2_grown + b2
    np.testing.assert_allclose(
        as_array(grown_down(grown_up(X))), expected, atol=1e-5
    )


def test_base_and_slices_are_variables_of_their_own():
    up, down, _ = mlp(dense)
    (grown_up,), grown_down = grow_mlp(up, down)
    assert grown_up.base is up
    assert grown_up.base.kernel is up.kernel
    assert [w.shape for w in grown_up.trainable_weights] == [(6, 8), (8,)]
    assert [w.shape for w in grown_down.trainable_weights] == [(8, 4)]
    np.testing.assert_array_equal(
        as_array(grown_down.slices[0].kernel), as_array(down.kernel) / 2
    )


@pytest.mark.parametrize("make", [dense, einsum])
@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_config_round_trip_keeps_function_and_shapes(make, strategy):
    up, down, expected = mlp(make)
    (grown_up,), grown_down = grow_mlp(up, down, strategy=strategy)
    copies = []
    inputs = X
    for layer in (grown_up, grown_down):
        config = keras.saving.serialize_keras_object(layer)
        copy = keras.saving.deserialize_keras_object(config)
        copy.build(inputs.shape)
        copy.set_weights([ops.convert_to_numpy(w) for w in layer.weights])
        copies.append(copy)
        inputs = copy(inputs)
    np.testing.assert_array_equal(as_array(inputs), expected)
    symbolic = copies[1](copies[0](keras.Input(X.shape[1:])))
    assert symbolic.shape == (None, 5, 4)
    assert copies[0].compute_output_shape((None, 5, 6)) == (None, 5, 16)
    assert copies[1].compute_output_shape((None, 5, 16)) == (None, 5, 4)


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("strategy", ["g_freeze_up", "g_train"])
def test_folded_copies_share_the_bases_down_projection(strategy, factor):
    up, down, _ = mlp(dense, activation=None)
    (grown_up,), grown_down = grow_mlp(
        up, down, factor=factor, strategy=strategy
    )
    whole = strategy == "g_train"
    count = factor if whole else factor - 1
    assert grown_down.trainable_weights == []
    assert [w.shape for w in grown_up.trainable_weights] == (
        [(6, 8), (8,)] * count if whole else [(6, 8 * count), (8 * count,)]
    )
    rng = np.random.default_rng(0)
    for weight in grown_up.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    grown_down.set_scales([0.4])
    grown_up.set_scales([0.4])
    w1, b1, w2, b2 = (
        ops.convert_to_numpy(w) for w in (*up.weights, *down.weights)
    )
    trained = list(map(ops.convert_to_numpy, grown_up.trainable_weights))
    new = np.concatenate(trained[::2], axis=-1)
    bias = np.concatenate(trained[1::2])
    hidden = np.maximum(X @ w1 + b1, 0)
    copies = np.maximum(X @ new + bias, 0)
    copies = copies.reshape(*X.shape[:-1], count, 8).mean(axis=-2)
    share = 0.4 if whole else 0.4 * (1 - 1 / factor)
    expected = ((1 - share) * hidden + share * copies) @ w2 + b2
    np.testing.assert_allclose(
        as_array(grown_down(grown_up(X))), expected, rtol=1e-5, atol=1e-5
    )


def test_a_functional_model_of_grown_layers_is_saved_and_loaded(tmp_path):
    up, down, expected = mlp(dense)
    (grown_up,), grown_down = grow_mlp(up, down)
    model = keras.Sequential([keras.Input((5, 6)), grown_up, grown_down])
    model.save(tmp_path / "mlp.keras")
    loaded = keras.saving.load_model(tmp_path / "mlp.keras")
    np.testing.assert_array_equal(as_array(loaded(X)), expected)
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


@pytest.mark.exact
@pytest.mark.parametrize("first", ["g_freeze", "g_freeze_up"])
@pytest.mark.parametrize("second", ["g_freeze", "g_freeze_up"])
def test_a_second_slice_leaves_every_bit_as_the_first_training_left_it(
    first, second
):
    up, down, _ = mlp(dense)
    (up_1,), down_1 = grow_mlp(up, down, strategy=first)
    for layer in (up_1, down_1):
        for weight in layer.trainable_weights:
            weight.assign(weight + 0.1)
    trained = as_array(down_1(up_1(X)))
    (up_2,), down_2 = grow_mlp(up_1, down_1, strategy=second)
    # G-Freeze-Up shares a product with the base, as long as it is newest.
    rounds = (first, second) == ("g_freeze_up", "g_freeze")
    after = as_array(down_2(up_2(X)))
    np.testing.assert_allclose(after, trained, rtol=0, atol=1e-6 * rounds)
    assert up_2.width == 24
    assert not any(w.trainable for w in up_1.slices[0].weights)


WAYS = [{"jit_compile": False}, {"run_eagerly": True}]
if keras.config.backend() != "torch":
    WAYS.append({"jit_compile": True})


@pytest.mark.exact
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_a_pair_as_wide_as_gemmas_keeps_every_bit(how):
    # Sums over few numbers come out equal however they are split.
    x = np.random.default_rng(0).normal(size=(2, 7, 640)).astype("float32")
    up = keras.layers.EinsumDense(
        "btd,df->btf", (None, 2048), activation="gelu"
    )
    down = keras.layers.EinsumDense("btf,fd->btd", (None, 640))
    model = keras.Sequential([keras.Input(x.shape[1:]), up, down])
    (up_1,), down_1 = grow_mlp(up, down)
    grown = keras.Sequential([keras.Input(x.shape[1:]), up_1, down_1])
    model.compile(**how)
    grown.compile(**how)
    np.testing.assert_array_equal(
        grown.predict(x, verbose=0), model.predict(x, verbose=0)
    )


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Conv1D(2, 2), "Dense.*Received"),
        ("dense", "Dense.*Received: 'dense'"),
        (
            keras.layers.EinsumDense("btd,dnh->btnh", (None, 2, 3)),
            "two dimensions.*btd,dnh->btnh",
        ),
        (
            keras.layers.EinsumDense("bdt,df->bft", (4, None)),
            "last axis.*bdt,df->bft",
        ),
        (
            keras.layers.EinsumDense("btd,df->btf", (5, 4), bias_axes="tf"),
            "one bias per feature.*bias_axes='tf'",
        ),
    ],
    ids=["conv", "str", "three dimensions", "other axis", "bias a position"],
)
def test_a_layer_of_another_kind_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        GrowableDense(layer, grows="output")


def test_an_unknown_axis_and_missing_widths_are_refused():
    with pytest.raises(ValueError, match=r"grows.*Received: grows='up'"):
        GrowableDense(dense(2), grows="up")
    with pytest.raises(
        ValueError, match="one width, share and scale per slice"
    ):
        GrowableDense(dense(2), grows="output", slices=[dense(2)])


def test_an_unbuilt_mlp_is_refused():
    with pytest.raises(ValueError, match="has no weights yet"):
        grow_mlp(dense(8), dense(4))

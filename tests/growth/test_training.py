"""Slices train as the paper's masked kernel does; the rest is frozen."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.comparison import Method
from keras_grow.growth.state import ModelState
from keras_grow.layers.merged import merged_kernel
from keras_grow.saving.fingerprint import base_fingerprint

BATCH = token_batch(batch=4)
TARGETS = np.roll(BATCH["token_ids"], -1, axis=1)
WEIGHTS = BATCH["padding_mask"].astype("float32")


def fit(model, epochs=3, **compile_options):
    compile_options.setdefault("optimizer", keras.optimizers.Adam(1e-2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, weighted_metrics=[], **compile_options)
    history = model.fit(
        BATCH,
        TARGETS,
        sample_weight=WEIGHTS,
        batch_size=2,
        epochs=epochs,
        shuffle=False,
        verbose=0,
    )
    return history.history["loss"]


def values(model):
    return {
        w.path: ops.convert_to_numpy(ops.cast(w, "float32"))
        for w in model.weights
    }


JIT = [False] if keras.config.backend() == "torch" else [True, False]


@pytest.mark.parametrize(
    "options",
    [
        *[{"jit_compile": jit} for jit in JIT],
        {"run_eagerly": True},
        {"optimizer": lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1)},
        {
            "optimizer": lambda: keras.optimizers.Adam(
                1e-2, gradient_accumulation_steps=2
            )
        },
    ],
    ids=lambda options: "-".join(options),
)
def test_training_changes_no_bit_of_a_frozen_variable(
    options,
):
    lm = tiny_lm("gemma3", "bfloat16")
    fingerprint = base_fingerprint(lm)
    keras_grow.grow_model(lm, layers=[1])
    before = values(lm)
    options = dict(options)
    if "optimizer" in options:
        options["optimizer"] = options["optimizer"]()
    losses = fit(lm, **options)
    assert losses[-1] < losses[0]
    assert base_fingerprint(lm) == fingerprint
    trainable = {w.path for w in lm.trainable_weights}
    for path, value in values(lm).items():
        assert np.array_equal(value, before[path]) == (path not in trainable)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16"])
def test_mixed_precision_trains(dtype):
    lm = tiny_lm("gemma3", dtype)
    fingerprint = base_fingerprint(lm)
    keras_grow.grow_model(lm)
    losses = fit(lm)
    assert losses[-1] < losses[0]
    assert base_fingerprint(lm) == fingerprint


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up"])
def test_rematerialized_blocks_train_to_the_same_weights(strategy):
    plain = tiny_lm("gemma3")
    # mode="full" fails on any KerasHub model on JAX (tied embedding), and
    # layers called with keyword arguments do on TensorFlow.
    names = [f"decoder_block_{index}" for index in range(2)]
    if keras.config.backend() == "tensorflow":
        names = ["pre_ffw_norm", "post_ffw_norm"]
    with keras.RematScope(mode="list_of_layers", layer_names=names):
        remat = tiny_lm("gemma3")
    for lm in (plain, remat):
        keras_grow.grow_model(lm, strategy=strategy)
        fit(lm, optimizer=keras.optimizers.SGD(0.1))
    after = values(plain)
    for path, value in values(remat).items():
        np.testing.assert_allclose(value, after[path], atol=1e-5)


def test_the_optimizer_holds_moments_for_the_slices_alone():
    lm = tiny_lm("gemma3")
    keras_grow.grow_model(lm, layers=[1])
    fit(lm, epochs=1)
    moments = sum(int(np.prod(v.shape)) for v in lm.optimizer.variables)
    report = keras_grow.growth_report(lm)
    assert moments == 2 * report.trainable_parameters + 2


def test_a_model_compiled_before_it_grew_needs_no_second_compile():
    lm = tiny_lm("gemma3")
    fit(lm, epochs=1)
    keras_grow.grow_model(lm)
    before = values(lm)
    lm.fit(BATCH, TARGETS, sample_weight=WEIGHTS, verbose=0)
    changed = {
        path
        for path, value in values(lm).items()
        if not np.array_equal(value, before[path])
    }
    assert changed == {w.path for w in lm.trainable_weights}
    assert float(lm.optimizer.learning_rate) == pytest.approx(1e-2)


class MaskedModel:
    """The paper's form: merged kernels under a gradient mask, in NumPy."""

    def __init__(self, kernels, masks, optimizer):
        self.kernels = kernels
        self.masks = masks
        self.adam = optimizer == "adam"
        self.moments = [np.zeros((2, *k.shape)) for k in kernels]
        self.steps = 0

    def update(self, gradients, rate):
        self.steps += 1
        for kernel, mask, moment, gradient in zip(
            self.kernels, self.masks, self.moments, gradients, strict=True
        ):
            gradient = gradient * mask
            if self.adam:
                moment[0] = 0.9 * moment[0] + 0.1 * gradient
                moment[1] = 0.999 * moment[1] + 0.001 * gradient**2
                # Kingma and Ba's form with epsilon outside the correction.
                scale = np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
                gradient = scale * moment[0] / (np.sqrt(moment[1]) + 1e-7)
            kernel -= rate * gradient


def masked_gradients(x, y, kernels):
    """Gradients of a gated tanh MLP's squared error, by hand."""
    gate, up, down = kernels
    a, b = np.tanh(x @ gate), x @ up
    error = 2 * ((a * b) @ down - y) / y.size
    hidden = error @ down.T
    return (
        x.T @ (hidden * b * (1 - a**2)),
        x.T @ (hidden * a),
        (a * b).T @ error,
    )


class GatedMLP(keras.Model):
    def __init__(self, gate, up, down):
        super().__init__()
        self.gate, self.up, self.down = gate, up, down

    def call(self, x):
        return self.down(ops.tanh(self.gate(x)) * self.up(x))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_the_split_model_moves_exactly_as_the_masked_merged_kernel(
    strategy, optimizer
):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 5)).astype("float32")
    y = rng.normal(size=(16, 3)).astype("float32")
    layers = [keras.layers.Dense(n, use_bias=False) for n in (7, 7, 3)]
    GatedMLP(*layers)(x)
    (gate, up), down = keras_grow.grow_mlp(
        layers[:2], layers[2], strategy=strategy
    )
    split = GatedMLP(gate, up, down)
    grown = (gate, up, down)
    kernels = [
        ops.convert_to_numpy(merged_kernel(layer)).astype("float64")
        for layer in grown
    ]
    new = np.arange(14) >= 7
    masks = {
        "g_freeze": [new[None], new[None], new[:, None]],
        "g_freeze_up": [new[None], new[None], False],
        "g_train": [True, True, False],
    }[strategy]
    merged = MaskedModel(kernels, masks, optimizer)
    make = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    split.compile(optimizer=make[optimizer](1e-2), loss="mse")
    split.fit(x, y, batch_size=16, epochs=8, verbose=0)
    for _ in range(8):
        merged.update(masked_gradients(x, y, merged.kernels), 1e-2)
    for layer, expected in zip(grown, merged.kernels, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(merged_kernel(layer)), expected, atol=2e-5
        )


@pytest.mark.exact
def test_the_copies_of_g_train_never_separate_unless_shares_differ():
    separated = {}
    for shares in ("equal", "unequal"):
        lm = tiny_lm("gemma3")
        keras_grow.grow_model(lm, strategy="g_train", shares=shares)
        fit(lm, epochs=4)
        distances = []
        for layer in ModelState.of(lm).grown_layers:
            if layer.grows == "output":
                first, second = (
                    ops.convert_to_numpy(s.kernel)
                    for s in layer.slices[0].copies
                )
                assert not np.array_equal(
                    first, ops.convert_to_numpy(layer.base.kernel)
                )
                distances.append(np.abs(first - second).max())
        separated[shares] = max(distances)
    assert separated["equal"] == 0.0
    assert separated["unequal"] > 1e-2


def test_g_train_of_equal_copies_learns_what_sft_of_gate_and_up_learns():
    # Each copy has half of the gradient, which Adam does not see.
    def adam():
        return keras.optimizers.Adam(1e-2, epsilon=1e-12)

    grown, plain = tiny_lm("gemma3"), tiny_lm("gemma3")
    keras_grow.grow_model(grown, strategy="g_train")
    plain = Method("sft_up", "sft_up", 1e-2).prepare(plain)
    before = ops.convert_to_numpy(plain(BATCH))
    losses = [fit(each, optimizer=adam()) for each in (grown, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    after = ops.convert_to_numpy(plain(BATCH))
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(
        ops.convert_to_numpy(grown(BATCH)), after, atol=2e-3
    )


def test_two_tasks_in_sequence_leave_each_other_alone():
    lm = tiny_lm("gemma3", num_layers=3)
    keras_grow.grow_model(lm, layers=[0, 1])
    fit(lm)
    after_first = ops.convert_to_numpy(lm(BATCH))
    first = {w.path: ops.convert_to_numpy(w) for w in lm.trainable_weights}
    keras_grow.grow_model(lm, layers=[1, 2])
    np.testing.assert_array_equal(ops.convert_to_numpy(lm(BATCH)), after_first)
    assert all("growth_2" in w.path for w in lm.trainable_weights)
    fit(lm)
    assert not np.array_equal(ops.convert_to_numpy(lm(BATCH)), after_first)
    for path, value in values(lm).items():
        if path in first:
            np.testing.assert_array_equal(value, first[path])
    report = keras_grow.growth_report(lm)
    assert report.widths == {0: (24, 48), 1: (24, 72), 2: (24, 48)}


def test_an_adam_that_would_move_no_bfloat16_slice_is_refused():
    lm = tiny_lm("gemma3", dtype="bfloat16")
    keras_grow.grow_model(lm, slice_dtype="bfloat16")
    before = values(lm)
    with pytest.raises(ValueError, match=r"beta_2=0.999, which is 1 in bf"):
        fit(lm, optimizer=keras.optimizers.Adam(1e-2))
    # Keras' own model does not move.
    plain = tiny_lm("gemma3", dtype="bfloat16")
    unmoved = values(plain)
    fit(plain, optimizer=keras.optimizers.Adam(1e-2))
    for path, value in values(plain).items():
        np.testing.assert_array_equal(value, unmoved[path])
    fit(lm, optimizer=keras.optimizers.Adam(1e-2, beta_2=0.99))
    moved = [path for path, value in values(lm).items() if "growth_1" in path]
    assert any(np.any(values(lm)[path] != before[path]) for path in moved)

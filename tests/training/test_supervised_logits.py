"""`supervised_logits` changes the cost of a step and not its results."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import supervised_logits

ROWS, LENGTH = 6, 12
CHUNK = 5
BACKEND = keras.config.backend()


def supervised_batch():
    """Three batches of two rows: some, all and no positions supervised."""
    rng = np.random.default_rng(1)
    y = rng.integers(4, 80, (ROWS, LENGTH)).astype("int32")
    weights = rng.uniform(0.5, 1.5, (ROWS, LENGTH)).astype("float32")
    weights[:2] *= rng.random((2, LENGTH)) < 0.3
    weights[4:] = 0.0
    return {"x": token_batch(ROWS, LENGTH), "y": y, "sample_weight": weights}


def rows(data, count):
    return keras.tree.map_structure(lambda array: array[:count], data)


def compiled(lm, reduction="sum_over_batch_size", optimizer=None, **options):
    lm.compile(
        optimizer=optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=reduction
        ),
        weighted_metrics=[
            keras.metrics.SparseCategoricalAccuracy(),
            keras.metrics.SparseTopKCategoricalAccuracy(10),
        ],
        **options,
    )
    return lm


def fit(lm, epochs=2, **data):
    data = data or supervised_batch()
    logs = lm.fit(**data, batch_size=2, epochs=epochs, shuffle=False, verbose=0)
    return logs.history


def trained(lm):
    """The logs of a fit and the weights after it."""
    return fit(lm), [np.array(w) for w in lm.weights]


def assert_same(ours, plain, tolerance=1e-5):
    logs, weights = ours
    assert logs.keys() == plain[0].keys()
    for name, values in plain[0].items():
        np.testing.assert_allclose(logs[name], values, rtol=1e-5, atol=1e-5)
    for a, b in zip(weights, plain[1], strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


@pytest.fixture(scope="module")
def plain():
    """KerasHub's own fit of the model that most tests below train."""
    keras.utils.set_random_seed(0)
    return trained(compiled(tiny_lm(num_layers=1)))


@pytest.mark.parametrize(
    ("family", "method"), [("gemma3", "lora"), ("gemma2", "sft")]
)
def test_training_equals_that_of_keras_hub(family, method):
    # gemma2 caps its logits.
    plain, ours = (tiny_lm(family, num_layers=2) for _ in range(2))
    if method == "lora":
        for lm in (plain, ours):
            lm.backbone.enable_lora(2)
        # Adapters start at random.
        ours.set_weights(plain.get_weights())
    supervised_logits(ours, chunk_size=CHUNK)
    assert_same(trained(compiled(ours)), trained(compiled(plain)))


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight"])
def test_every_reduction_is_respected(reduction):
    data = supervised_batch()
    lm = compiled(tiny_lm(num_layers=1), reduction)
    plain = lm.evaluate(**data, batch_size=2, verbose=0)
    supervised_logits(lm, chunk_size=CHUNK)
    ours = lm.evaluate(**data, batch_size=2, verbose=0)
    np.testing.assert_allclose(ours, plain, rtol=1e-5)


WAYS = {
    "jax": [dict(), dict(steps_per_execution=2)],
    "tensorflow": [
        dict(),
        dict(steps_per_execution=2),
        dict(jit_compile=True),
    ],
    "torch": [dict()],
}


@pytest.mark.parametrize("options", WAYS[BACKEND], ids=str)
def test_every_way_to_run_a_step_gives_the_same(options, plain):
    lm = compiled(tiny_lm(num_layers=1), **options)
    assert_same(trained(supervised_logits(lm, chunk_size=CHUNK)), plain)


def test_an_eager_step_gives_the_same():
    lm = compiled(tiny_lm(num_layers=1), run_eagerly=True)
    data = {k: rows(v, 2) for k, v in supervised_batch().items()}
    before = lm.test_on_batch(**data)
    supervised_logits(lm, chunk_size=LENGTH)
    np.testing.assert_allclose(lm.train_on_batch(**data), before, rtol=1e-5)


def test_compiling_after_the_switch_gives_the_same(plain):
    lm = supervised_logits(tiny_lm(num_layers=1), chunk_size=1000)
    assert_same(trained(compiled(lm)), plain)


def test_gradient_accumulation_works():
    def model():
        sgd = keras.optimizers.SGD(0.05, gradient_accumulation_steps=2)
        return compiled(tiny_lm(num_layers=1), optimizer=sgd)

    ours = trained(supervised_logits(model(), chunk_size=CHUNK))
    assert_same(ours, trained(model()))


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_stays_within_its_rounding(dtype, plain):
    lm = compiled(tiny_lm(dtype=dtype, num_layers=1))
    logs, weights = trained(supervised_logits(lm, chunk_size=CHUNK))
    np.testing.assert_allclose(logs["loss"], plain[0]["loss"], rtol=2e-2)
    moved = [
        [np.linalg.norm(a - b) for a, b in zip(x, tiny_weights(), strict=True)]
        for x in (weights, plain[1])
    ]
    np.testing.assert_allclose(moved[0], moved[1], rtol=0.1)


def tiny_weights():
    return tiny_lm(num_layers=1).get_weights()


def test_without_sample_weights_every_position_is_supervised():
    data = supervised_batch()
    del data["sample_weight"]
    lm = compiled(tiny_lm(num_layers=1))
    plain = lm.test_on_batch(**data)
    supervised_logits(lm, chunk_size=CHUNK)
    np.testing.assert_allclose(lm.test_on_batch(**data), plain, rtol=1e-5)


def test_strings_go_in_where_there_is_a_preprocessor():
    data = {
        "x": {
            "prompts": np.array(["a model", "bonjour", "hello", "the fox"]),
            "responses": np.array(["grows", "le monde", "world", "jumps"]),
        }
    }
    models = [compiled(tiny_lm(tokenizer=True, num_layers=1)) for _ in range(2)]
    supervised_logits(models[1], chunk_size=CHUNK)
    first, second = [fit(lm, **data) for lm in models]
    np.testing.assert_allclose(second["loss"], first["loss"], rtol=1e-5)


def test_calling_predicting_and_generating_are_untouched():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    lm.compile(sampler="greedy", run_eagerly=BACKEND == "jax")
    batch = token_batch()

    def outputs():
        text = lm.generate("a model", max_length=8)
        return text, keras.ops.convert_to_numpy(lm(batch))

    before = outputs()
    supervised_logits(lm)
    lm.make_train_function()
    after = outputs()
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1], before[1])


def test_switching_off_restores_the_plain_steps():
    lm = compiled(tiny_lm(num_layers=1))
    attributes = set(vars(lm))
    supervised_logits(lm)
    fit(lm, epochs=1)
    supervised_logits(lm, enabled=False)
    assert lm.train_step.__func__ is type(lm).train_step
    assert "train_step" not in set(vars(lm)) - attributes
    fit(lm, epochs=1)


@pytest.mark.skipif(BACKEND == "torch", reason="nothing is compiled")
def test_another_number_of_supervised_positions_compiles_nothing():
    traced = []

    class Counting(keras.losses.SparseCategoricalCrossentropy):
        def call(self, y_true, y_pred):
            traced.append(y_pred.shape)
            return super().call(y_true, y_pred)

    lm = tiny_lm(num_layers=1)
    lm.compile(loss=Counting(from_logits=True))
    supervised_logits(lm, chunk_size=8)
    data = supervised_batch()
    fit(lm, epochs=1, **data)
    once = len(traced)
    for supervised in (0, 1, 7, 8, 9, 24):
        weights = np.arange(ROWS * LENGTH).reshape(ROWS, LENGTH) < supervised
        data["sample_weight"] = weights.astype("float32")
        fit(lm, epochs=1, **data)
    assert len(traced) == once


def test_checkpoints_equal_those_of_the_plain_model(tmp_path):
    lm = supervised_logits(compiled(tiny_lm(num_layers=1)), chunk_size=CHUNK)
    path = str(tmp_path / "lm.weights.h5")
    data = supervised_batch()
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            path, save_freq=1, save_weights_only=True
        ),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
    ]
    lm.fit(**data, batch_size=2, verbose=0, shuffle=False, callbacks=callbacks)
    plain = compiled(tiny_lm(num_layers=1, seed=1))
    plain.optimizer.build(plain.trainable_variables)
    plain.load_weights(path)
    for a, b in zip(plain.weights, lm.weights, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_the_saved_model_is_a_plain_one(tmp_path):
    lm = supervised_logits(tiny_lm(num_layers=1))
    lm.save(tmp_path / "lm.keras")
    plain = keras.saving.load_model(tmp_path / "lm.keras", compile=False)
    assert type(plain) is type(lm)
    assert "train_step" not in vars(plain)
    assert plain.get_config().keys() == lm.get_config().keys()


def test_a_model_without_a_tied_head_is_refused():
    lm = tiny_lm(num_layers=1)
    with pytest.raises(TypeError, match="causal language model"):
        supervised_logits(lm.backbone)
    with pytest.raises(TypeError, match="causal language model"):
        supervised_logits(keras.Sequential([keras.layers.Dense(1)]))


@pytest.mark.parametrize("chunk_size", [0, -1, 2.5, True])
def test_a_bad_chunk_size_is_refused(chunk_size):
    with pytest.raises(ValueError, match=f"chunk_size={chunk_size}"):
        supervised_logits(tiny_lm(num_layers=1), chunk_size=chunk_size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(metrics=["accuracy"]), "weighted_metrics"),
        (dict(loss_weights=0.5), "loss_weights"),
        (
            dict(
                loss=keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True, ignore_class=0
                )
            ),
            "sample weight of zero",
        ),
    ],
)
def test_options_that_need_all_positions_are_refused(options, message):
    lm = supervised_logits(tiny_lm(num_layers=1))
    lm.compile(**options)
    before = lm.get_weights()
    with pytest.raises(ValueError, match=message):
        fit(lm)
    for a, b in zip(before, lm.get_weights(), strict=True):
        np.testing.assert_array_equal(b, a)


@pytest.mark.parametrize("source", ["arrays", "tf.data"])
def test_ragged_batches_of_empty_and_cut_rows_give_the_same(source):
    data = {k: rows(v, 5) for k, v in supervised_batch().items()}
    # An empty row, a row that is cut, and a last batch of one row.
    data["x"]["padding_mask"][1] = False
    data["sample_weight"][1] = 0.0
    data["sample_weight"][2, :-1] = 0.0
    data["sample_weight"][4, -1] = 1.0
    options = dict(batch_size=2)
    if source == "tf.data":
        tf = pytest.importorskip("tensorflow")
        parts = data["x"], data["y"], data["sample_weight"]
        data = {"x": tf.data.Dataset.from_tensor_slices(parts).batch(2)}
        options = {}
    results = []
    for ours in (False, True):
        lm = compiled(
            tiny_lm(num_layers=1),
            optimizer=keras.optimizers.SGD(0.05, gradient_accumulation_steps=2),
        )
        keras_grow.supervised_logits(lm, enabled=ours, chunk_size=1)
        # Three batches, two to an update: one is left over.
        logs = lm.fit(**data, **options, shuffle=False, verbose=0).history
        results.append((logs, [np.array(w) for w in lm.weights]))
    assert_same(results[1], results[0])

"""Growing, training and scoring are correct with any `floatx`."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import KLAnchor
from keras_grow import add_anchor
from keras_grow import supervised_logits
from keras_grow.evaluation import Scorer
from keras_grow.training.chunks import sum_over_positions
from keras_grow.training.compiled_loss import loss_values
from keras_grow.training.compiled_loss import reduction_scale
from keras_grow.training.passages import write_passages

# float32 is what all other tests have.
HALVES = ("bfloat16", "float16")


@pytest.fixture(params=HALVES)
def floatx(request):
    before = keras.config.floatx()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(before)


def data():
    rng = np.random.default_rng(0)
    weights = (rng.random((4, 6)) < 0.5).astype("float32")
    y = rng.integers(4, 80, (4, 6)).astype("int32")
    return {"x": token_batch(4, 6), "y": y, "sample_weight": weights}


def to_numpy(value):
    return ops.convert_to_numpy(ops.cast(value, "float32"))


def expected_loss(lm, batch):
    """Cross-entropy of the model's own logits, in NumPy."""
    logits = compiled_outputs(lm, batch["x"]).astype("float64")
    log_z = np.log(np.exp(logits).sum(-1))
    chosen = np.take_along_axis(logits, batch["y"][..., None], -1)[..., 0]
    return ((log_z - chosen) * batch["sample_weight"]).mean()


def test_a_grown_model_trains_and_measures(floatx):
    lm = keras_grow.grow_model(tiny_lm(dtype=floatx, num_layers=1))
    report = keras_grow.verify_preserved(lm, token_batch(2, 6))
    assert report.exact
    # One row at a time: a single branch to compile.
    supervised_logits(lm, chunk_size=1)
    add_anchor(lm, KLAnchor(token_batch(3, 6), top_k=5, batch_size=2))
    lm.compile(
        optimizer=keras.optimizers.SGD(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    batch = data()
    expected = expected_loss(lm, batch)
    start = [to_numpy(w) for w in lm.trainable_variables]
    logs = lm.fit(**batch, batch_size=4, epochs=2, verbose=0).history
    np.testing.assert_allclose(logs["task_loss"][0], expected, rtol=0.01)
    moved = [
        np.any(to_numpy(w) != a)
        for a, w in zip(start, lm.trainable_variables, strict=True)
    ]
    assert all(moved)
    assert all(np.isfinite(to_numpy(w)).all() for w in lm.weights)


def test_scores_are_those_of_the_logits(floatx):
    lm = tiny_lm(dtype=floatx, tokenizer=True, num_layers=1)
    written = write_passages(lm, 2, 6)
    assert written["token_ids"].dtype == "int32"
    tokens = [2, 30, 31, 32]
    score = Scorer(lm, max_length=8).score_tokens([(tokens[:2], tokens[2:])])
    x = {
        "token_ids": np.array([tokens[:-1]], "int32"),
        "padding_mask": np.ones((1, 3), bool),
    }
    logits = compiled_outputs(lm, x)[0, 1:]
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = log_p[0, tokens[2]] + log_p[1, tokens[3]]
    np.testing.assert_allclose(score.logprob, [expected], rtol=0.02)


def test_positions_beyond_int16_are_supervised(floatx):
    count = 40_000
    weights = np.zeros(count, "float32")
    weights[[5, 16_400, count - 1]] = 1.0
    layer = keras.layers.Dense(1, dtype="float32")
    layer.build((None, 2))

    def term(hidden, weights, targets, state):
        return ops.sum(hidden[:, 0] * weights), state

    total, _ = sum_over_positions(
        term,
        layer,
        hidden=ops.convert_to_tensor(
            np.arange(2 * count).reshape(count, 2), "float32"
        ),
        weights=ops.convert_to_tensor(weights),
        targets=[],
        differentiate=False,
    )
    assert float(total) == 2 * (5 + 16_400 + count - 1)


def test_the_mean_is_over_more_positions_than_int16_holds(floatx):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    scale = reduction_scale(None, loss, (400, 100), None)
    np.testing.assert_allclose(float(scale), 1 / 40_000, rtol=1e-6)


def test_labels_are_not_rounded(floatx):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    logits = np.zeros((1, 300), "float32")
    logits[0, 257] = 9.0
    value = loss_values(
        loss,
        ops.convert_to_tensor(np.array([257], "int32")),
        ops.convert_to_tensor(logits),
    )
    assert float(value[0]) < 0.1


def test_merging_gives_the_grown_model(floatx):
    lm = tiny_lm(dtype=floatx, num_layers=1)
    keras_grow.grow_model(lm, strategy="g_train", shares="unequal")
    grown = to_numpy(lm(token_batch()))
    merged = keras_grow.merge_growth(lm)
    logits = to_numpy(merged(token_batch()))
    np.testing.assert_allclose(logits, grown, atol=0.05)

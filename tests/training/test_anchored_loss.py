"""Training with an anchor: the loss, its gradient and what it keeps."""

import h5py
import keras
import numpy as np
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import KLAnchor
from keras_grow import add_anchor
from keras_grow import supervised_logits
from keras_grow.training.anchored_loss import AnchoredLoss
from keras_grow.training.gradients import value_and_gradients

PASSAGES = token_batch(5, 6, seed=3)
WEIGHT = 2.0


def task(rows=4, length=8):
    rng = np.random.default_rng(1)
    weights = (rng.random((rows, length)) < 0.5).astype("float32")
    y = rng.integers(4, 80, (rows, length)).astype("int32")
    return {"x": token_batch(rows, length), "y": y, "sample_weight": weights}


def fit(lm, epochs=1, rate=0.05, anchor=None):
    lm.compile(
        optimizer=keras.optimizers.SGD(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    supervised_logits(lm, chunk_size=4)
    add_anchor(lm, anchor)
    return lm.fit(
        **task(), batch_size=2, epochs=epochs, shuffle=False, verbose=0
    ).history


def anchored(lm, **options):
    return KLAnchor(
        PASSAGES, weight=WEIGHT, top_k=7, batch_size=5, **options
    ).prepare(lm)


def full_divergence(lm, anchor):
    """The mean divergence over the padded passages, from all the logits."""
    arrays = anchor.arrays
    logits = lm({n: arrays[n] for n in ("token_ids", "padding_mask")})
    log_q = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    chosen = ops.take_along_axis(log_q, arrays["indices"], axis=-1)
    rest = ops.log(1 - ops.sum(ops.exp(chosen), axis=-1, keepdims=True))
    log_q = ops.concatenate([chosen, rest], axis=-1)
    log_p = ops.convert_to_tensor(arrays["log_probs"])
    values = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
    mask = ops.cast(arrays["padding_mask"], "float32")
    return ops.sum(values * mask) / ops.sum(mask)


def test_the_gradient_is_that_of_the_task_plus_that_of_the_divergence():
    rate = 0.05
    lm, plain = (keras_grow.grow_model(tiny_lm(num_layers=1)) for _ in "ab")
    anchor = anchored(lm)
    # Away from the base, where the gradient is not zero.
    for variables in (lm.trainable_variables, plain.trainable_variables):
        rng = np.random.default_rng(0)
        for variable in variables:
            noise = rng.normal(0, 0.1, variable.shape)
            variable.assign(ops.convert_to_numpy(variable) + noise)
    variables = lm.trainable_variables
    before = [np.array(ops.convert_to_numpy(v)) for v in variables]

    def loss(*values):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return full_divergence(lm, anchor), ()

    value, _, gradients = value_and_gradients(
        loss, [ops.convert_to_tensor(v) for v in before]
    )
    data = {name: first_rows(part) for name, part in task().items()}
    for each, with_anchor in ((lm, anchor), (plain, None)):
        each.compile(
            optimizer=keras.optimizers.SGD(rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
        )
        supervised_logits(each, chunk_size=4)
        add_anchor(each, with_anchor)
    logs = lm.train_on_batch(**data, return_dict=True)
    task_logs = plain.train_on_batch(**data, return_dict=True)

    np.testing.assert_allclose(logs["anchor_loss"], value, rtol=1e-4)
    np.testing.assert_allclose(logs["task_loss"], task_logs["loss"], rtol=1e-5)
    np.testing.assert_allclose(
        logs["loss"], logs["task_loss"] + WEIGHT * logs["anchor_loss"], 1e-5
    )
    for ours, other, gradient in zip(
        variables, plain.trainable_variables, gradients, strict=True
    ):
        moved = ops.convert_to_numpy(ours) - ops.convert_to_numpy(other)
        expected = -rate * WEIGHT * ops.convert_to_numpy(gradient)
        np.testing.assert_allclose(moved, expected, atol=1e-5)


def first_rows(data):
    return keras.tree.map_structure(lambda array: array[:2], data)


def test_the_anchor_adds_nothing_at_the_start():
    lm, plain = (keras_grow.grow_model(tiny_lm(num_layers=1)) for _ in "ab")
    logs = fit(lm, rate=1e-7, anchor=anchored(lm))
    np.testing.assert_allclose(logs["anchor_loss"], 0.0, atol=1e-6)
    np.testing.assert_allclose(logs["loss"], fit(plain, rate=1e-7)["loss"])


def test_an_anchored_model_stays_closer_to_its_base():
    free, held = (tiny_lm(num_layers=1) for _ in range(2))
    anchor = anchored(held)
    fit(free, epochs=8, rate=0.2)
    logs = fit(held, epochs=8, rate=0.2, anchor=anchor)
    assert logs["task_loss"][-1] < 0.6 * logs["task_loss"][0]
    drift = [
        ops.convert_to_numpy(full_divergence(lm, anchor)) for lm in (free, held)
    ]
    assert drift[1] < 0.6 * drift[0]


def test_passages_are_taken_in_turn_from_any_step_on():
    lm = tiny_lm(num_layers=1)
    anchor = KLAnchor(PASSAGES, top_k=2, batch_size=2).prepare(lm)
    term = AnchoredLoss(anchor)
    rows = [np.array(term._batch(i)["token_ids"]) for i in range(6)]
    expected = [
        anchor.arrays["token_ids"][[2 * i % 5, (2 * i + 1) % 5]]
        for i in range(6)
    ]
    np.testing.assert_array_equal(rows, expected)


def test_evaluation_measures_only_the_task():
    lm = tiny_lm(num_layers=1)
    anchor = anchored(lm)
    fit(lm, anchor=anchor)
    logs = lm.evaluate(**task(), batch_size=2, verbose=0, return_dict=True)
    add_anchor(lm, None)
    again = lm.evaluate(**task(), batch_size=2, verbose=0, return_dict=True)
    assert logs.keys() == again.keys()
    assert "anchor_loss" not in logs
    np.testing.assert_allclose(logs["loss"], again["loss"], rtol=1e-6)


def test_files_do_not_hold_the_anchor(tmp_path):
    lm = tiny_lm(num_layers=1)

    def contents(name):
        names = []
        lm.save_weights(tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            file.visit(names.append)
        return names

    plain = contents("plain.weights.h5")
    add_anchor(lm, anchored(lm))
    assert contents("anchored.weights.h5") == plain


def test_switching_off_removes_the_anchor_from_the_logs():
    lm = tiny_lm(num_layers=1)
    add_anchor(lm, anchored(lm))
    assert {m.name for m in lm.metrics} >= {"task_loss", "anchor_loss"}
    supervised_logits(lm, enabled=False)
    assert not {m.name for m in lm.metrics} & {"task_loss", "anchor_loss"}


def test_another_chunk_size_keeps_the_anchor():
    lm = tiny_lm(num_layers=1)
    add_anchor(lm, anchored(lm))
    supervised_logits(lm, chunk_size=8)
    assert "anchor_loss" in {m.name for m in lm.metrics}
    add_anchor(lm, None)
    assert "anchor_loss" not in {m.name for m in lm.metrics}
    assert "train_step" in vars(lm)

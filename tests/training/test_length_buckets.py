"""Length buckets reduce the cost of padding and do not change training."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_rows import rows_of_lengths

from keras_grow import LengthBuckets
from keras_grow import supervised_logits
from keras_grow.training.lengths import cheapest_lengths
from keras_grow.training.lengths import choose_lengths

ROWS = 22


def drawn(data):
    """The rows of each batch of an epoch, as `fit` draws it."""
    rows = [data.rows(index) for index in range(len(data))]
    data.on_epoch_begin()
    batches = [data[index] for index in range(len(data))]
    data.on_epoch_end()
    return rows, batches


@pytest.mark.no_backend
@pytest.mark.parametrize("group", [True, False])
def test_every_row_is_in_an_epoch_once_and_whole(group):
    x, y, weights = rows_of_lengths()
    data = LengthBuckets(
        x, y, weights, batch_size=4, lengths=4, group=group, same_loss=False
    )
    rows, batches = drawn(data)
    assert sorted(np.concatenate(rows)) == list(range(ROWS))
    assert len(data.lengths) == 4
    shapes = {batch[1].shape for batch in batches}
    assert shapes <= {(4, length) for length in data.lengths}
    for own, (inputs, targets, some) in zip(rows, batches, strict=True):
        width, real = targets.shape[1], len(own)
        assert not x["padding_mask"][own, width:].any()
        np.testing.assert_array_equal(
            inputs["token_ids"][:real], x["token_ids"][own, :width]
        )
        np.testing.assert_array_equal(targets[:real], y[own, :width])
        np.testing.assert_array_equal(some[:real], weights[own, :width])
        assert not some[real:].any()


def test_there_are_four_lengths_but_every_one_where_none_is_compiled():
    x, y, weights = rows_of_lengths(60)
    data = LengthBuckets(x, y, weights, batch_size=2)
    if keras.config.backend() != "torch":
        assert data.lengths == LengthBuckets(x, y, weights, lengths=4).lengths
        assert len(data.lengths) == 4
        return
    needed = x["padding_mask"].sum(axis=1)
    assert data.lengths == tuple(np.unique(needed))
    rows, batches = drawn(data)
    assert sorted(np.concatenate(rows)) == list(range(60))
    for own, (_, targets, _) in zip(rows, batches, strict=True):
        assert targets.shape[1] == needed[own].max()


def test_a_loop_over_the_batches_gets_an_epoch_of_whole_rows():
    data = LengthBuckets(*rows_of_lengths(), batch_size=4)
    batches = list(data)
    assert len(batches) == len(data)
    for index, (_, targets, _) in enumerate(batches):
        np.testing.assert_array_equal(targets, data.batch(index)[1])


@pytest.mark.no_backend
def test_rows_of_similar_length_need_less_padding():
    data = [
        LengthBuckets(*rows_of_lengths(400), batch_size=4, **options)
        for options in ({}, {"group": False}, {"lengths": 1})
    ]
    grouped, cut, padded = [each.padding_share for each in data]
    mask = data[0].x["padding_mask"]
    assert padded == pytest.approx(1 - mask.mean())
    assert grouped < 0.2 < cut < padded


@pytest.mark.no_backend
def test_the_order_depends_on_the_seed_alone_and_can_be_resumed():
    arrays = rows_of_lengths()

    def epochs(count, **options):
        data = LengthBuckets(*arrays, batch_size=4, **options)
        return [np.concatenate(drawn(data)[0]).tolist() for _ in range(count)]

    first, second, third = epochs(3, seed=1)
    assert epochs(2, seed=1, initial_epoch=1) == [second, third]
    assert first != second
    assert epochs(1, seed=2) != [first]
    size = len(LengthBuckets(*arrays, batch_size=4))
    (across,) = epochs(1, seed=1, updates=(size - 1, size + 2))
    assert across == [*first[-4:], *second[:8]]


@pytest.mark.no_backend
def test_fit_may_shuffle_the_order_and_stop_an_epoch_early():
    arrays = rows_of_lengths()
    data = LengthBuckets(*arrays, batch_size=4)
    expected = drawn(LengthBuckets(*arrays, batch_size=4))[1]
    data.on_epoch_begin()
    data[0]
    data.on_epoch_end()  # Keras has drawn one batch to build a model.
    data.on_epoch_begin()
    for index, batch in zip([3, 0, 5, 1], expected, strict=False):
        np.testing.assert_array_equal(data[index][1], batch[1])
    assert data.epoch == 0


class Rows(LengthBuckets):
    """Buckets that record the rows of every batch that a loop is given."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.given = []

    def batch(self, index):
        if self._drawn is not None:
            self.given.append((self.epoch, *self.rows(index).tolist()))
        return super().batch(index)


def compiled_lm(**options):
    lm = tiny_lm(num_layers=1)
    lm.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **options,
    )
    return lm


def test_a_fit_after_one_that_failed_begins_the_epoch_again():
    def fail(batch, logs):
        raise RuntimeError("failed")

    data = Rows(*rows_of_lengths(), batch_size=4)
    fails = keras.callbacks.LambdaCallback(on_train_batch_end=fail)
    with pytest.raises(RuntimeError, match="failed"):
        keras.Model.fit(compiled_lm(), data, verbose=0, callbacks=[fails])
    data.given.clear()
    keras.Model.fit(compiled_lm(), data, verbose=0)
    rows = [row for _, *rows in data.given for row in rows]
    # Keras may have drawn a batch more, to build the model.
    assert sorted(rows[-ROWS:]) == list(range(ROWS))


@pytest.mark.parametrize("group", [True, False])
def test_short_epochs_continue_through_the_rows(group):
    arrays = rows_of_lengths(12)
    options = dict(batch_size=2, group=group, seed=4)
    whole = LengthBuckets(*arrays, **options)
    order = np.concatenate([rows for _ in range(2) for rows in drawn(whole)[0]])
    data = Rows(*arrays, **options, steps_per_epoch=4)
    lm = compiled_lm()
    keras.Model.fit(lm, data, epochs=2, verbose=0)
    keras.Model.fit(lm, data, epochs=1, verbose=0)
    # Keras has drawn from an epoch once more to build a model.
    found = {}
    for epoch, *rows in data.given:
        found.setdefault(epoch, []).append(rows)
    found = [np.concatenate(found[epoch][-4:]) for epoch in range(3)]
    np.testing.assert_array_equal(np.concatenate(found), order)
    resumed = LengthBuckets(
        *arrays, **options, steps_per_epoch=4, initial_epoch=2
    )
    np.testing.assert_array_equal(
        np.concatenate(drawn(resumed)[0]), order[2 * 4 * 2 :]
    )


def test_steps_that_would_train_the_same_rows_each_epoch_are_refused():
    data = LengthBuckets(*rows_of_lengths(12), batch_size=2)
    lm = compiled_lm()
    before = lm.get_weights()
    with pytest.raises(ValueError, match="steps_per_epoch=3 of 6 batches"):
        keras.Model.fit(lm, data, steps_per_epoch=3, verbose=0)
    for a, b in zip(before, lm.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_evaluate_on_buckets_equals_evaluate_on_the_arrays():
    x, y, weights = rows_of_lengths(9)
    for array in (x["token_ids"], x["padding_mask"], weights):
        array[:, 24:] = 0
    lm = compiled_lm(
        weighted_metrics=[keras.metrics.SparseTopKCategoricalAccuracy(20)]
    )
    expected = keras.Model.evaluate(
        lm, x, y, sample_weight=weights, batch_size=4, verbose=0
    )
    data = LengthBuckets(x, y, weights, batch_size=4, shuffle=False)
    assert data.lengths == (24,)
    for _ in range(2):
        found = keras.Model.evaluate(lm, data, verbose=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    history = keras.Model.fit(
        lm,
        LengthBuckets(x, y, weights, batch_size=4),
        epochs=2,
        verbose=0,
        validation_data=data,
    ).history
    expected = keras.Model.evaluate(
        lm, x, y, sample_weight=weights, batch_size=4, verbose=0
    )
    assert history["val_loss"][-1] == pytest.approx(expected[0], rel=1e-5)


def test_evaluate_refuses_buckets_that_change_its_means():
    x, y, weights = rows_of_lengths(6)
    data = LengthBuckets(x, y, weights, batch_size=4)
    lm = compiled_lm()
    with pytest.raises(ValueError, match="shuffle=False"):
        keras.Model.evaluate(lm, data, verbose=0)
    # `fit` is refused before it trains, not when it evaluates.
    before = lm.get_weights()
    with pytest.raises(ValueError, match="shuffle=False"):
        keras.Model.fit(
            lm,
            LengthBuckets(x, y, weights, batch_size=4),
            validation_data=data,
            verbose=0,
        )
    for a, b in zip(before, lm.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.no_backend
def test_the_chosen_lengths_pad_least():
    # 2 rows of 8, 1 of 16, 3 of 40: every pair with 40 in it, by hand.
    rows = [5, 8, 16, 40, 33, 40]
    assert choose_lengths(rows, 2) == (16, 40)
    assert choose_lengths(rows, 9) == (8, 16, 40)
    assert choose_lengths(rows, 1, longest=38) == (38,)


def test_a_fit_on_buckets_learns_what_a_fit_on_padded_rows_learns():
    x, y, weights = rows_of_lengths(16)
    lms = [tiny_lm(num_layers=1) for _ in range(2)]
    for lm in lms:
        lm.compile(
            optimizer=keras.optimizers.SGD(0.5),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        supervised_logits(lm, chunk_size=8)
    data = LengthBuckets(x, y, weights, batch_size=4, lengths=2)
    order = []
    for epoch in range(2):
        data.epoch = epoch
        order += [data.rows(index) for index in range(4)]
    data.epoch = 0
    ours = keras.Model.fit(lms[0], data, epochs=2, verbose=0).history["loss"]
    assert data.epoch == 2
    order = np.concatenate(order)
    plain = lms[1].fit(
        {name: array[order] for name, array in x.items()},
        y[order],
        sample_weight=weights[order],
        batch_size=4,
        shuffle=False,
        verbose=0,
    )
    assert np.mean(ours) == pytest.approx(plain.history["loss"][0], rel=1e-5)
    for a, b in zip(*(lm.get_weights() for lm in lms), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.no_backend
def test_a_new_length_must_save_what_compiling_it_is_worth():
    rows = [20] * 99 + [100] * 9
    # A length of 32 would save 99 * 80 = 7920 positions.
    assert cheapest_lengths(rows, price=7921) == (112,)
    assert cheapest_lengths(rows, price=7919) == (32, 112)
    assert cheapest_lengths(rows, known=[32]) == (32, 112)
    assert cheapest_lengths([5], known=[64]) == (64,)


@pytest.mark.no_backend
def test_updates_without_groups_continue_across_epochs():
    arrays = rows_of_lengths()
    whole = LengthBuckets(*arrays, batch_size=4, seed=3, group=False)
    order = np.concatenate([rows for _ in range(3) for rows in drawn(whole)[0]])
    data = LengthBuckets(
        *arrays, batch_size=4, seed=3, group=False, updates=(4, 12)
    )
    np.testing.assert_array_equal(
        np.concatenate(drawn(data)[0]), order[4 * 4 : 12 * 4]
    )


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(x={}), "padding_mask"),
        (dict(sample_weight=np.ones((3, 4))), "same rows and positions"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(batch_size=2.5), "batch_size=2.5"),
        (dict(seed=0.5), "seed=0.5"),
        (dict(initial_epoch=1.5), "initial_epoch=1.5"),
        (dict(updates=(3, 3)), r"updates=\(3, 3\)"),
        (dict(steps_per_epoch=0), "steps_per_epoch=0"),
        (dict(steps_per_epoch=3, shuffle=False), "one of"),
        (dict(lengths=(8, 16)), "holds the longest row"),
        (dict(lengths=0), "lengths=0"),
        (dict(lengths=True), "lengths=True"),
        (dict(lengths=(8.5, 40)), "lengths=8.5"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    x, y, weights = rows_of_lengths()
    with pytest.raises(ValueError, match=message):
        LengthBuckets(**{"x": x, "y": y, "sample_weight": weights, **change})

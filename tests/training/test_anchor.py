"""An anchor keeps what the base predicts on some passages."""

import os

import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import KLAnchor


def softmax(x):
    e = np.exp(x.astype("float64") - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def assert_predictions_of(lm, anchor):
    """Every kept log-probability is the model's own."""
    inputs = {n: anchor.arrays[n] for n in ("token_ids", "padding_mask")}
    p = softmax(lm.predict(inputs, verbose=0))
    kept = np.exp(anchor.arrays["log_probs"])
    chosen = np.take_along_axis(p, anchor.arrays["indices"], -1)
    np.testing.assert_allclose(kept[..., :-1], chosen, atol=1e-5)
    np.testing.assert_allclose(kept[..., -1], 1 - chosen.sum(-1), atol=1e-5)


@pytest.fixture(scope="module")
def prepared():
    """A model and its anchor, which no test changes."""
    lm = tiny_lm(num_layers=1)
    return lm, KLAnchor(token_batch(3, 6), top_k=5).prepare(lm)


def test_the_stored_predictions_are_those_of_the_model(prepared):
    lm, anchor = prepared
    assert_predictions_of(lm, anchor)
    positions = 3 * 6
    kept = anchor.arrays["indices"].nbytes + anchor.arrays["log_probs"].nbytes
    assert kept == positions * (8 * anchor.top_k + 4)


def test_the_base_of_a_grown_model_is_the_model_without_growth():
    lm, base = (tiny_lm(num_layers=1) for _ in range(2))
    keras_grow.grow_model(lm)
    for variable in lm.trainable_variables:
        variable.assign(variable + 0.1)
    anchor = KLAnchor(token_batch(3, 6), top_k=5).prepare(lm)
    assert_predictions_of(base, anchor)


def test_the_base_of_a_growth_on_top_of_another_includes_the_lower_one(
    tmp_path,
):
    lm, french = (tiny_lm(num_layers=1) for _ in range(2))
    for model in (lm, french):
        keras_grow.grow_model(model, name="french")
        for variable in model.trainable_variables:
            variable.assign(variable + 0.1)
        keras_grow.set_growths(model, {"french": 0.5})
    on_base = KLAnchor(token_batch(3, 6), top_k=5).prepare(lm)
    keras_grow.grow_model(lm, name="science")
    for variable in lm.trainable_variables:
        variable.assign(variable + 0.1)
    anchor = KLAnchor(token_batch(3, 6), top_k=5).prepare(lm)
    assert_predictions_of(french, anchor)
    scales = {n: g.scale for n, g in keras_grow.growths(lm).items()}
    assert scales == {"french": 0.5, "science": 1.0}
    # An anchor to another base is none for this growth.
    of_french = KLAnchor(token_batch(3, 6), top_k=5).prepare(french)
    for other in (on_base, of_french):
        with pytest.raises(ValueError, match="lies on other growths"):
            other.prepare(lm)
    anchor.save(tmp_path / "x.anchor.safetensors")
    KLAnchor.load(tmp_path / "x.anchor.safetensors").prepare(lm)


def test_strings_are_tokenized_and_cut():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    anchor = KLAnchor(["a model", "hello world"], top_k=2, length=5).prepare(lm)
    assert anchor.arrays["token_ids"].shape == (2, 5)
    start = lm.preprocessor.tokenizer.start_token_id
    assert (anchor.arrays["token_ids"][:, 0] == start).all()


def test_token_sequences_are_padded_and_cut():
    lm = tiny_lm(num_layers=1)
    anchor = KLAnchor([[5, 6], [7] * 9], top_k=2, length=4).prepare(lm)
    assert sorted(anchor.arrays["token_ids"].tolist()) == [
        [5, 6, 0, 0],
        [7, 7, 7, 7],
    ]
    assert sorted(anchor.arrays["padding_mask"].sum(-1)) == [2, 4]


def test_the_order_depends_on_the_seed():
    lm = tiny_lm(num_layers=1)
    passages = [[i, i] for i in range(4, 20)]

    def order(seed):
        anchor = KLAnchor(passages, top_k=1, length=2, seed=seed).prepare(lm)
        return anchor.arrays["token_ids"][:, 0].tolist()

    assert order(0) == order(0) != order(1)


def test_a_saved_anchor_is_loaded_unchanged(tmp_path, prepared):
    _, anchor = prepared
    anchor.save(tmp_path / "x.anchor.safetensors")
    again = KLAnchor.load(tmp_path / "x.anchor.safetensors", weight=3.0)
    assert again.weight == 3.0
    assert again.top_k == 5
    for name, array in anchor.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    # Nothing is computed anew, and the arrays are not asked for a model.
    again.prepare(tiny_lm(num_layers=1))
    np.testing.assert_array_equal(
        again.arrays["log_probs"], anchor.arrays["log_probs"]
    )
    assert [p.name for p in tmp_path.iterdir()] == ["x.anchor.safetensors"]


def test_an_anchor_of_one_base_is_refused_by_another(tmp_path, prepared):
    _, anchor = prepared
    other = tiny_lm(num_layers=1, seed=1)
    path = tmp_path / "x.anchor.safetensors"
    anchor.save(path)
    for found in (anchor, KLAnchor.load(path)):
        with pytest.raises(ValueError, match="base has other weights"):
            found.prepare(other)
        with pytest.raises(ValueError, match="base has other weights"):
            keras_grow.add_anchor(other, found)
    trusted = KLAnchor.load(path, check_base=False)
    assert trusted.prepare(other).arrays.keys() == anchor.arrays.keys()


def test_an_anchor_fits_its_base_grown_and_its_model_trained():
    lm, same = tiny_lm(num_layers=1), tiny_lm(num_layers=1)
    anchor = KLAnchor(token_batch(3, 6), top_k=5).prepare(lm)
    keras_grow.grow_model(same)
    for weight in same.trainable_weights:
        weight.assign(weight + 1.0)
    assert anchor.prepare(same) is anchor
    anchor.prepare(lm)
    lm.weights[0].assign(lm.weights[0] + 1.0)
    assert anchor.prepare(lm) is anchor
    with pytest.raises(ValueError, match="base has other weights"):
        anchor.prepare(tiny_lm(num_layers=1, seed=1))


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, prepared):
    _, anchor = prepared
    path = tmp_path / "x.anchor.safetensors"
    anchor.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        anchor.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_base_writes_its_own_passages():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    sampler = lm.sampler
    first, same, other = (
        KLAnchor.from_model(lm, num_passages=3, length=6, seed=seed, weight=2.0)
        for seed in (0, 0, 1)
    )
    assert lm.sampler is sampler
    assert first.weight == 2.0
    tokens = first.passages["token_ids"]
    assert tokens.shape == (3, 6)
    assert (tokens[:, 0] == lm.preprocessor.tokenizer.start_token_id).all()
    np.testing.assert_array_equal(same.passages["token_ids"], tokens)
    assert (other.passages["token_ids"] != tokens).any()


def test_a_model_without_a_tokenizer_needs_a_start_token():
    lm = tiny_lm(num_layers=1)
    with pytest.raises(ValueError, match="start_token_id=None"):
        KLAnchor.from_model(lm, num_passages=1)


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(weight=0.0), "weight=0.0"),
        (dict(weight=float("nan")), "weight=nan"),
        (dict(weight="1"), "weight='1'"),
        (dict(top_k=0), "top_k=0"),
        (dict(top_k=True), "top_k=True"),
        (dict(batch_size=1.5), "batch_size=1.5"),
        (dict(length=-1), "length=-1"),
        (dict(direction="sideways"), "direction='sideways'"),
        (dict(passages=[]), "at least one passage"),
    ],
)
def test_a_bad_argument_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        KLAnchor(**{"passages": [[4, 5]], **options})


def test_passages_and_options_that_do_not_fit_the_model_are_refused(tmp_path):
    lm = tiny_lm(num_layers=1)
    with pytest.raises(ValueError, match="top_k=81"):
        KLAnchor([[4]], top_k=81).prepare(lm)
    with pytest.raises(ValueError, match="Received: 80"):
        KLAnchor([[4, 80]], top_k=1).prepare(lm)
    with pytest.raises(ValueError, match="preprocessor"):
        KLAnchor(["text"], top_k=1).prepare(lm)
    with pytest.raises(ValueError, match="prepare"):
        KLAnchor([[4]]).save(tmp_path / "x.anchor.safetensors")

"""Named growths with a dial: side by side, on top of each other, mixed."""

import gc

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import GrowableDense
from keras_grow.growth.state import ModelState
from keras_grow.saving.fingerprint import base_fingerprint

NAMES = ("french", "science")
BATCH = token_batch()
TARGETS = np.roll(BATCH["token_ids"], -1, axis=1)


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def predicted(model):
    return compiled_outputs(model, BATCH)


def move(lm, name, seed):
    """Change the slices of a growth as training would."""
    rng = np.random.default_rng(seed)
    for layer in ModelState.of(lm).slices(name):
        for weight in layer.weights:
            noise = rng.normal(0, 0.3, weight.shape)
            weight.assign(ops.convert_to_numpy(weight) + noise)


def grown(dtype="float32", **options):
    lm = tiny_lm("gemma3", dtype, num_layers=2)
    keras_grow.grow_model(lm, **options)
    move(lm, None, 1)
    return lm


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two growths that were each made on the bare base."""
    folder = tmp_path_factory.mktemp("growths")
    for seed, name in enumerate(NAMES):
        lm = tiny_lm("gemma3", num_layers=2)
        keras_grow.grow_model(lm, name=name, factor=2 + seed)
        move(lm, name, seed)
        keras_grow.save_growth(lm, folder / name)
    return folder


@pytest.fixture(scope="module")
def one():
    """A grown model for tests that change nothing in it."""
    return grown()


def with_both(files):
    lm = tiny_lm("gemma3", num_layers=2)
    keras_grow.load_growth(lm, files / "french")
    return keras_grow.load_growth(lm, files / "science")


def kernels(layer):
    """Base and slices of a grown layer as NumPy arrays, by name."""
    named = {"base": layer.base, **{x.name: x for x in layer.slices}}
    return {
        name: ops.convert_to_numpy(part.kernel).astype("float64")
        for name, part in named.items()
        if hasattr(part, "kernel")
    }


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def hidden(mlp, name, x):
    gate, up, _ = mlp
    return gelu(x @ kernels(gate)[name]) * (x @ kernels(up)[name])


@pytest.mark.exact
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
def test_scale_1_is_the_growth_and_scale_0_the_base_bit_for_bit(
    dtype, strategy
):
    base = outputs(tiny_lm("gemma3", dtype, num_layers=2))
    lm = grown(dtype, strategy=strategy, name="french")
    trained = outputs(lm)
    assert not np.array_equal(trained, base)
    keras_grow.set_growths(lm, {"french": 0.3})
    between = outputs(lm)
    assert not np.array_equal(between, base)
    assert not np.array_equal(between, trained)
    keras_grow.set_growths(lm, {"french": 0.0})
    np.testing.assert_array_equal(outputs(lm), base)
    keras_grow.set_growths(lm, "french")
    np.testing.assert_array_equal(outputs(lm), trained)


@pytest.mark.parametrize("scales", [(0.5, 1.0), (1.0, 1.0), (-0.25, 1.5)])
def test_growths_side_by_side_add_their_changes(files, scales):
    """`b + s1 (g1 - b) + s2 (g2 - b)` inside each block, in NumPy."""
    lm = with_both(files)
    keras_grow.set_growths(lm, dict(zip(NAMES, scales, strict=True)))
    x = np.random.default_rng(3).normal(size=(2, 5, 16)).astype("float32")
    for mlp in ModelState.of(lm).mlps.values():
        gate, up, down = mlp.values()
        activated = keras.activations.gelu(gate(x), approximate=True) * up(x)
        result = ops.convert_to_numpy(down(activated))
        parts = kernels(down)
        alone = hidden(mlp.values(), "base", x) @ parts["base"]
        expected = alone
        for name, factor, scale in zip(NAMES, (2, 3), scales, strict=True):
            new = hidden(mlp.values(), name, x) @ parts[name]
            expected = expected + scale * (alone / factor + new - alone)
        np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.exact
def test_one_of_two_growths_computes_what_it_does_alone(files):
    lm = with_both(files)
    for name in NAMES:
        alone = tiny_lm("gemma3", num_layers=2)
        keras_grow.load_growth(alone, files / name)
        keras_grow.set_growths(lm, name)
        np.testing.assert_array_equal(outputs(lm), outputs(alone))
    keras_grow.set_growths(lm, {})
    base = tiny_lm("gemma3", num_layers=2)
    np.testing.assert_array_equal(outputs(lm), outputs(base))
    assert base_fingerprint(lm) == base_fingerprint(base)


def test_growths_lists_the_growths_of_a_model(files):
    lm = tiny_lm("gemma3", num_layers=2)
    assert keras_grow.growths(lm) == {}
    lm = with_both(files)
    keras_grow.set_growths(lm, {"science": 0.5})
    french, science = keras_grow.growths(lm).values()
    assert (french.scale, science.scale) == (0.0, 0.5)
    assert (french.trainable, science.trainable) == (False, True)
    assert (french.config.factor, science.config.factor) == (2, 3)
    text = str(keras_grow.growth_report(lm))
    assert "french" in text
    assert "scale 0.5" in text


def test_a_growth_on_top_of_others_changes_nothing_and_trains_alone(files):
    lm = with_both(files)
    keras_grow.set_growths(lm, {"french": 0.5, "science": 0.25})
    before = outputs(lm)
    keras_grow.grow_model(lm, name="third", layers=[1])
    np.testing.assert_allclose(outputs(lm), before, atol=2e-6)
    config = keras_grow.growths(lm)["third"].config
    assert config.beneath == (("french", 0.5), ("science", 0.25))
    values = {w.path: ops.convert_to_numpy(w) for w in lm.weights}
    lm.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    lm.fit(BATCH, TARGETS, verbose=0)
    moved = {
        w.path
        for w in lm.weights
        if not np.array_equal(ops.convert_to_numpy(w), values[w.path])
    }
    assert moved
    assert all("/third/" in path for path in moved)


def test_a_growth_made_on_others_needs_them_to_load(files, tmp_path):
    lm = with_both(files)
    keras_grow.set_growths(lm, {"french": 0.5})
    keras_grow.grow_model(lm, name="third", layers=[1])
    move(lm, "third", 5)
    expected = outputs(lm)
    keras_grow.save_growth(lm, tmp_path / "third", "third")
    other = tiny_lm("gemma3", num_layers=2)
    with pytest.raises(ValueError, match=r"growth 'french'.*Load it first"):
        keras_grow.load_growth(other, tmp_path / "third")
    keras_grow.load_growth(other, files / "science", "french")
    with pytest.raises(ValueError, match=r"growth 'french'.*Load it first"):
        keras_grow.load_growth(other, tmp_path / "third")
    keras_grow.remove_growth(other)
    keras_grow.load_growth(other, files / "french")
    with pytest.raises(ValueError, match=r"scale 0\.5.*Received: scale 1\.0"):
        keras_grow.load_growth(other, tmp_path / "third")
    assert list(keras_grow.growths(other)) == ["french"]
    keras_grow.set_growths(other, {"french": 0.5})
    keras_grow.load_growth(other, tmp_path / "third")
    np.testing.assert_array_equal(outputs(other), expected)
    with pytest.raises(ValueError, match=r"\['third'\] on top of it"):
        keras_grow.remove_growth(other, "french")
    keras_grow.remove_growth(other, "third")
    assert list(keras_grow.growths(other)) == ["french"]


def test_removing_one_growth_leaves_the_other(files):
    lm = with_both(files)
    keras_grow.remove_growth(lm, "french")
    alone = tiny_lm("gemma3", num_layers=2)
    keras_grow.load_growth(alone, files / "science")
    np.testing.assert_array_equal(outputs(lm), outputs(alone))
    assert [w.path for w in lm.weights] == [w.path for w in alone.weights]


def test_turning_the_dial_compiles_nothing_and_leaks_nothing(monkeypatch):
    traced = []
    call = GrowableDense.call
    monkeypatch.setattr(
        GrowableDense,
        "call",
        lambda self, *args, **kwargs: (
            traced.append(self) or call(self, *args, **kwargs)
        ),
    )
    lm = grown(name="french")
    predicted(lm)
    function = lm.predict_function
    assert traced
    traced.clear()
    results = set()
    gc.collect()
    before = len(gc.get_objects())
    for step in range(100):
        keras_grow.set_growths(lm, {"french": 0.01 * (step + 1)})
        results.add(float(np.abs(predicted(lm)).sum()))
        assert lm.predict_function is function
    if keras.config.backend() == "jax":  # Elsewhere it runs eagerly here.
        assert not traced
    traced.clear()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
    assert len(results) > 90
    keras_grow.set_growths(lm, {})
    predicted(lm)
    assert lm.predict_function is not function
    keras_grow.set_growths(lm, "french")
    assert lm.predict_function is function


def test_a_growth_at_scale_0_is_not_computed(files):
    lm = with_both(files)
    (gate, *_), *_ = (m.values() for m in ModelState.of(lm).mlps.values())
    x = np.ones((1, 2, 16), "float32")
    widths = []
    for names in ({"french": 1.0, "science": 1.0}, {"french": 0.5}, {}):
        keras_grow.set_growths(lm, names)
        widths.append(gate(x).shape[-1])
    assert widths == [24 * 4, 24 * 2, 24]


@pytest.mark.parametrize("strategy", ["g_freeze", "g_freeze_up", "g_train"])
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_model_merged_at_any_scale_equals_the_grown_one(strategy, scale):
    lm = grown(strategy=strategy, layers=[1])
    keras_grow.set_growths(lm, {"growth_1": scale})
    merged = keras_grow.merge_growth(lm)
    np.testing.assert_allclose(outputs(merged), outputs(lm), atol=2e-5)


def test_two_growths_at_any_scales_are_merged_and_saved(files, tmp_path):
    lm = with_both(files)
    keras_grow.set_growths(lm, {"french": 0.7, "science": 0.2})
    expected = outputs(lm)
    merged = keras_grow.merge_growth(lm)
    np.testing.assert_allclose(outputs(merged), expected, atol=2e-5)
    lm.save(tmp_path / "lm.keras")
    loaded = keras.saving.load_model(tmp_path / "lm.keras")
    np.testing.assert_array_equal(outputs(loaded), expected)
    scales = {n: g.scale for n, g in keras_grow.growths(loaded).items()}
    assert scales == pytest.approx({"french": 0.7, "science": 0.2})


def test_training_a_growth_that_is_switched_off_is_refused():
    lm = grown()
    keras_grow.set_growths(lm, {})
    before = outputs(lm)
    with pytest.raises(RuntimeError, match=r"that trains, 'growth_1'.*active"):
        lm.fit(BATCH, TARGETS, verbose=0)
    np.testing.assert_array_equal(outputs(lm), before)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("german", r"among \['growth_1'\]"),
        ({"german": 1.0}, "german"),
        ({"growth_1": "much"}, "scale of growth_1.*'much'"),
        ({"growth_1": float("nan")}, "nan"),
        ({"growth_1": 10**400}, "from -1000 to 1000"),
        (["growth_1"], "scales by the names"),
        (None, "scales by the names"),
    ],
    ids=str,
)
def test_unknown_growths_and_bad_scales_are_refused(one, wanted, message):
    lm = one
    before = outputs(lm)
    with pytest.raises(ValueError, match=message):
        keras_grow.set_growths(lm, wanted)
    np.testing.assert_array_equal(outputs(lm), before)


@pytest.mark.parametrize("name", ["", "a/b", "-x", "x" * 65, 5, "a b"])
def test_a_bad_or_taken_name_is_refused(one, name):
    lm = one
    with pytest.raises(ValueError, match=r"`name`.*Received: name="):
        keras_grow.grow_model(lm, name=name)
    with pytest.raises(ValueError, match="no other growth has"):
        keras_grow.grow_model(lm, name="growth_1")
    assert list(keras_grow.growths(lm)) == ["growth_1"]


@pytest.mark.parametrize("supervised", [False, True])
def test_fit_and_evaluate_run_the_active_growths(supervised):
    lm = tiny_lm("gemma3", num_layers=1)
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        keras_grow.grow_model(lm, name=name)
        for weight in lm.trainable_weights:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
        keras_grow.set_growths(lm, {})
    keras_grow.set_growths(lm, "two")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    lm.compile(keras.optimizers.SGD(0.0), loss, weighted_metrics=[])
    if supervised:
        keras_grow.supervised_logits(lm)
    x = token_batch()
    y = np.roll(x["token_ids"], -1, axis=1)
    losses = []
    # The second round runs what the first has compiled.
    for names in [("two",), ("one", "two")] * 2:
        keras_grow.set_growths(lm, dict.fromkeys(names, 1.0))
        expected = float(ops.convert_to_numpy(loss(y, lm(x))))
        losses.append(expected)
        runs = [keras.Model.test_on_batch]
        if names == ("two",):  # It trains on the bare base alone.
            runs.append(keras.Model.train_on_batch)
        for run in runs:
            assert float(run(lm, x, y)) == pytest.approx(expected, rel=1e-5)
        with keras_grow.growth_disabled(lm):
            base = float(ops.convert_to_numpy(loss(y, lm(x))))
            found = float(keras.Model.test_on_batch(lm, x, y))
            assert found == pytest.approx(base, rel=1e-5)
    assert abs(losses[0] - losses[1]) > 1e-3
    assert abs(losses[0] - base) > 1e-3

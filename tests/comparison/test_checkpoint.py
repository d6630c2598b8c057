"""A checkpoint finds each variable by its name, and refuses others."""

import keras
import numpy as np
import pytest
from family_models import few_programs
from family_models import tiny_family
from keras import ops
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save_file

from keras_grow.comparison.checkpoint import RunState
from keras_grow.comparison.checkpoint import load_checkpoint
from keras_grow.comparison.checkpoint import load_weights
from keras_grow.comparison.checkpoint import save_checkpoint
from keras_grow.comparison.checkpoint import save_weights


def model(optimizer="adam"):
    """Three layers of the same shape: shapes cannot tell them apart."""
    layers = [keras.layers.Dense(3, name=name) for name in "abc"]
    lm = keras.Sequential([keras.Input((3,)), *layers], name="lm")
    lm.compile(optimizer)
    return lm


def by_path(variables):
    return {
        v.path.split("/", 1)[-1]: np.array(ops.convert_to_numpy(v))
        for v in variables
    }


def trained(optimizer="adam"):
    """A model in which every variable has a different value."""
    lm = model(optimizer)
    lm.optimizer.build(lm.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in [*lm.trainable_variables, *lm.optimizer.variables]:
        if "iteration" not in variable.path:
            value = rng.uniform(0.5, 1.5, variable.shape)
            variable.assign(value.astype("float32"))
    return lm


@pytest.mark.parametrize("optimizer", ["adam", "lion"])
def test_the_state_is_found_by_name_in_whatever_order_it_is_listed(
    tmp_path, optimizer
):
    lm = trained(optimizer)
    state = RunState(3, 1.5, 7)
    save_checkpoint(lm, tmp_path / "x.safetensors", state, 9)
    again = model(optimizer)
    # Another version of a layer may list its weights in another order.
    again.optimizer.build(again.trainable_variables[::-1])
    assert load_checkpoint(again, tmp_path / "x.safetensors", 9) == state
    for found, saved in [
        (again.optimizer.variables, lm.optimizer.variables),
        (again.trainable_variables, lm.trainable_variables),
    ]:
        found, saved = by_path(found), by_path(saved)
        assert found.keys() == saved.keys()
        for name, value in saved.items():
            np.testing.assert_array_equal(found[name], value, name)


@pytest.mark.parametrize("name", ["Qwen-MoE", "SmolLM 3"])
def test_variables_with_shared_or_numbered_paths_are_told_apart(name, tmp_path):
    """Qwen-MoE numbers layers across models; SmolLM 3 has equal paths."""
    path = tmp_path / "x.safetensors"
    state = RunState(3, 1.5, 7)
    with few_programs():
        lm, again = tiny_family(name), tiny_family(name)
    rng = np.random.default_rng(0)
    for own in (lm, again):
        own.compile("adam")
        own.optimizer.build(own.trainable_variables)
    for variable in [*lm.trainable_variables, *lm.optimizer.variables]:
        value = rng.uniform(0.5, 1.5, variable.shape)
        variable.assign(value.astype(variable.dtype))
    save_checkpoint(lm, path, state, 9)
    assert load_checkpoint(again, path, 9) == state
    for mine, theirs in (
        (lm.trainable_variables, again.trainable_variables),
        (lm.optimizer.variables, again.optimizer.variables),
    ):
        for variable, found in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(
                *map(ops.convert_to_numpy, (found, variable)), variable.path
            )


def test_the_last_checkpoint_holds_only_weights(tmp_path):
    lm, again, path = trained(), model(), tmp_path / "x.safetensors"
    state = RunState(9, 1.5, 7)
    save_checkpoint(lm, path, state, 9)
    assert len(load_file(path)) == len(lm.trainable_variables)
    assert load_checkpoint(again, path, 9) == state
    saved = by_path(lm.weights)
    for name, value in by_path(again.weights).items():
        np.testing.assert_array_equal(value, saved[name])
    with pytest.raises(ValueError, match=r"only one of them has.*optimizer"):
        load_checkpoint(again, path, 10)


def test_an_optimizer_whose_variables_share_a_name_is_refused(tmp_path):
    lm = trained("adafactor")
    with pytest.raises(ValueError, match=r"two named 'optimizer\.ada"):
        save_checkpoint(lm, tmp_path / "x.safetensors", RunState(), 9)
    assert not list(tmp_path.iterdir())


def saved(path):
    save_checkpoint(trained(), path, RunState(3, 1.5, 7), 9)
    with safe_open(path, framework="numpy") as file:
        return load_file(path), file.metadata()


@pytest.mark.parametrize(
    ("tensors", "state", "message"),
    [
        (
            {"weight.lm/b/kernel": None},
            None,
            "only one of them.*lm/b/kernel",
        ),
        ({"more": np.ones(3, "f4")}, None, "only one of them has.*'more'"),
        (
            {"weight.lm/b/kernel": np.ones((3, 2), "f4")},
            None,
            r"shape \(3, 3\).*shape \(3, 2\)",
        ),
        ({"weight.lm/b/bias": np.ones(3, "i4")}, None, "float32.*int32"),
        ({}, "", "state of a checkpoint as JSON"),
        ({}, "[" * 10**5, "state of a checkpoint as JSON"),
        ({}, "3", "state of a checkpoint to be an object"),
        ({}, '{"step": 3}', r"missing fields \['peak_bytes', 'seconds'\]"),
        ({}, '{"step":-1,"seconds":1,"peak_bytes":1}', "step=-1"),
        ({}, '{"step":1,"seconds":NaN,"peak_bytes":1}', "seconds=nan"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_checkpoint_that_does_not_fit_changes_nothing(
    tmp_path, tensors, state, message
):
    path = tmp_path / "x.safetensors"
    arrays, metadata = saved(path)
    arrays = {k: v for k, v in {**arrays, **tensors}.items() if v is not None}
    if state is not None:
        metadata = {"state": state}
    save_file(arrays, path, metadata)
    lm = model()
    lm.optimizer.build(lm.trainable_variables)
    before = by_path([*lm.weights, *lm.optimizer.variables])
    with pytest.raises(ValueError, match=f"{message}.*In the file"):
        load_checkpoint(lm, path, 9)
    after = by_path([*lm.weights, *lm.optimizer.variables])
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_weights_alone_are_found_by_name_and_refused_if_they_do_not_fit(
    tmp_path,
):
    path = tmp_path / "w.safetensors"
    lm, again = trained(), model()
    save_weights(lm, path)
    load_weights(again, path)
    for name, value in by_path(lm.weights).items():
        np.testing.assert_array_equal(by_path(again.weights)[name], value)
    again.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"only one of them has.*a/bias"):
        load_weights(again, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged or of another kind"):
        load_weights(lm, path)

"""Growth files: small, checked, exact across backends, never half written."""

import dataclasses
import importlib.util
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import save_file
from tiny_models import tiny_lm
from tiny_models import token_batch
from tiny_tasks import tiny_classifier

import keras_grow
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.reading import read_growth_file

BATCH = token_batch()
VERSION_1 = Path(__file__).parent / "version_1"
# Each saves for the next: a process that imports another takes its time.
NEXT = {"jax": "torch", "torch": "tensorflow", "tensorflow": "jax"}


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def trained(dtype="float32", lora=False, **options):
    lm = tiny_lm("gemma3", dtype)
    keras_grow.grow_model(lm, **options)
    if lora:
        lm.backbone.enable_lora(2)
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return lm


@pytest.fixture
def path(tmp_path):
    return tmp_path / "task.grow.safetensors"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": [1], "factor": 3},
        {"strategy": "g_freeze_up", "factor": 3},
        {"strategy": "g_train", "shares": "unequal"},
        {"dtype": "bfloat16", "slice_dtype": "bfloat16"},
        {"lora": True, "layers": 1},
    ],
    ids=str,
)
def test_a_loaded_growth_is_the_saved_one_bit_for_bit(path, options):
    lm = trained(**options)
    keras_grow.save_growth(lm, path)
    loaded = tiny_lm("gemma3", options.get("dtype", "float32"))
    assert keras_grow.load_growth(loaded, path) is loaded
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))
    assert [w.path for w in loaded.trainable_weights] == [
        w.path for w in lm.trainable_weights
    ]
    assert loaded.backbone.growths == lm.backbone.growths


def test_two_growths_are_saved_in_one_file(path):
    lm = trained(layers=[0, 1])
    keras_grow.grow_model(lm, layers=[1])
    keras_grow.save_growth(lm, path)
    loaded = keras_grow.load_growth(tiny_lm("gemma3"), path)
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))


def test_the_file_is_as_large_as_its_weights(path):
    lm = tiny_lm("gemma3", hidden_dim=128, intermediate_dim=256)
    keras_grow.grow_model(lm)
    keras_grow.save_growth(lm, path)
    weights = sum(4 * int(np.prod(w.shape)) for w in lm.trainable_weights)
    assert weights <= path.stat().st_size < 1.02 * weights


def test_a_growth_saved_here_loads_under_another_backend(tmp_path):
    backend = NEXT[keras.config.backend()]
    if not importlib.util.find_spec(backend):
        pytest.skip("the lowest versions are tried on JAX alone, without torch")
    # Rounding differs between backends; the weights do not.
    tolerances = {"float32": 1e-5, "bfloat16": 0.05}
    expected = {}
    for dtype in tolerances:
        lm = trained(dtype)
        keras_grow.save_growth(lm, tmp_path / f"{dtype}.safetensors")
        expected[dtype] = outputs(lm)
    script = f"""
import keras_grow
import numpy as np
from tiny_models import tiny_lm, token_batch
from keras import ops
for dtype in {list(tolerances)!r}:
    path = {str(tmp_path)!r} + "/" + dtype
    lm = keras_grow.load_growth(tiny_lm("gemma3", dtype), path + ".safetensors")
    logits = ops.cast(lm(token_batch()), "float32")
    np.save(path + ".npy", ops.convert_to_numpy(logits))
"""
    env = {**os.environ, "KERAS_BACKEND": backend}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    for dtype, tolerance in tolerances.items():
        error = np.abs(np.load(tmp_path / f"{dtype}.npy") - expected[dtype])
        assert error.max() < tolerance * np.abs(expected[dtype]).max()


def test_the_fingerprint_covers_every_variable_and_ignores_growth():
    lm = tiny_lm("gemma3", "bfloat16")
    fingerprint = base_fingerprint(lm)
    assert base_fingerprint(tiny_lm("gemma3", "bfloat16")) == fingerprint
    assert base_fingerprint(tiny_lm("gemma3")) != fingerprint
    keras_grow.grow_model(lm, layers=[0])
    lm.backbone.enable_lora(2)
    assert base_fingerprint(lm) == fingerprint
    added = {w.path for w in lm.trainable_weights}
    for weight in lm.weights:
        if weight.path in added or weight.name == "growth_1_scale":
            continue
        value = ops.convert_to_numpy(ops.cast(weight, "float32"))
        changed = value.copy()
        changed.flat[-1] += 1.0
        weight.assign(changed)
        assert base_fingerprint(lm) != fingerprint, weight.path
        weight.assign(value)
    assert base_fingerprint(lm) == fingerprint


def refuse(path, message, error=ValueError, **overrides):
    lm = tiny_lm("gemma3", **overrides)
    before = outputs(lm)
    with pytest.raises(error, match=message):
        keras_grow.load_growth(lm, path)
    np.testing.assert_array_equal(outputs(lm), before)
    assert len(lm.trainable_weights) == len(lm.weights)


def test_a_growth_of_another_base_is_refused_unless_told_otherwise(path):
    lm = trained()
    keras_grow.save_growth(lm, path)
    refuse(path, "whose base has other weights", seed=1)
    other = tiny_lm("gemma3", "bfloat16")
    keras_grow.load_growth(other, path, check_base=False)
    error = np.abs(outputs(other) - outputs(lm)).max()
    assert error < 0.1 * np.abs(outputs(lm)).max()


def test_a_growth_of_another_shape_or_family_is_refused(path):
    keras_grow.save_growth(trained(), path)
    refuse(path, r"blocks\.0.*has shape.*expected", intermediate_dim=20)
    refuse(path, "block indices from 0 to 0", num_layers=1)
    with pytest.raises(ValueError, match="a growth of a 'Gemma3Backbone'"):
        keras_grow.load_growth(tiny_lm("gemma"), path)


def test_a_disk_that_is_full_leaves_the_old_file(path):
    keras_grow.save_growth(trained(layers=1), path)
    old, names = path.read_bytes(), os.listdir(path.parent)
    lm = trained(layers=2)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(OSError, match="Expected to write"):
            keras_grow.save_growth(lm, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == names


def test_loading_on_a_grown_model_or_under_lora_is_refused(path):
    lm = trained()
    keras_grow.save_growth(lm, path)
    tuned = tiny_lm("gemma3")
    tuned.backbone.enable_lora(2)
    with pytest.raises(ValueError, match="without LoRA"):
        keras_grow.load_growth(tuned, path)
    with pytest.raises(ValueError, match=r"no growth.*\['growth_1'\]"):
        keras_grow.load_growth(lm, path)
    keras_grow.remove_growth(lm)
    keras_grow.load_growth(lm, path)


def test_a_damaged_file_is_refused(path, tmp_path):
    keras_grow.save_growth(trained(layers=1), path)
    whole = path.read_bytes()
    broken = tmp_path / "broken.safetensors"
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:size])
        refuse(broken, "damaged or of another kind")
    rng = np.random.default_rng(0)
    lm = tiny_lm("gemma3")
    for position in rng.integers(0, len(whole), 100):
        data = bytearray(whole)
        data[position] ^= 1 << int(rng.integers(8))
        broken.write_bytes(bytes(data))
        with pytest.raises(ValueError, match="Expected"):
            keras_grow.load_growth(lm, broken)
    broken.write_bytes(b"not safetensors at all" * 100)
    refuse(broken, "damaged or of another kind")


def test_a_file_of_something_else_is_refused(path):
    save_file({"x": np.ones(3, "float32")}, path)
    refuse(path, "of something else")
    refuse(path.parent / "absent", "does not exist", FileNotFoundError)
    refuse(path.parent, "is not a file", FileNotFoundError)


@pytest.mark.parametrize(
    "change",
    [
        "missing",
        "blocks.0.ffw_linear/growth_1/kernel",
        "lora.decoder_block_0/attention/query.lora_kernel_a",
    ],
)
def test_missing_and_extra_keys_are_refused(path, change):
    keras_grow.save_growth(trained(layers=1), path)
    saved = read_growth_file(path)
    tensors = dict(saved.tensors)
    if change == "missing":
        tensors.pop(sorted(tensors)[0])
    else:
        tensors[change] = np.ones((24, 16), "f4")
    changed = dataclasses.replace(saved, tensors=tensors)
    save_file(tensors, path, changed.metadata)
    refuse(path, "do not fit")


@pytest.mark.parametrize(
    ("name", "growths"),
    [("g_freeze", ["growth_1", "growth_2"]), ("g_train", ["growth_1"])],
)
def test_a_file_of_version_1_is_the_growth_that_wrote_it(name, growths):
    """Files and logits are from the last keras_grow of that version."""
    expected = np.load(VERSION_1 / f"{name}.npy")
    lm = keras_grow.load_growth(
        tiny_lm("gemma3"), VERSION_1 / f"{name}.grow.safetensors"
    )
    assert list(keras_grow.growths(lm)) == growths
    np.testing.assert_allclose(outputs(lm), expected, rtol=0, atol=1e-5)


def test_a_newer_version_is_refused(path):
    keras_grow.save_growth(trained(layers=1), path)
    saved = read_growth_file(path)
    save_file(saved.tensors, path, {**saved.metadata, "version": "99"})
    refuse(path, "version '99'")


def test_what_is_not_grown_cannot_be_saved(path):
    with pytest.raises(ValueError, match="Expected a grown model"):
        keras_grow.save_growth(tiny_lm("gemma3"), path)
    lm = trained(layers=1)
    with (
        keras_grow.growth_disabled(lm),
        pytest.raises(ValueError, match="switched on"),
    ):
        keras_grow.save_growth(lm, path)
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    lm = trained(layers=1)
    with pytest.raises(ValueError, match="absent"):
        keras_grow.save_growth(lm, tmp_path / "absent" / "x.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(ValueError, match="can be written"):
        keras_grow.save_growth(lm, tmp_path / "folder.safetensors")
    assert os.listdir(tmp_path) == ["folder.safetensors"]


@pytest.mark.once
def test_a_save_that_is_killed_leaves_the_old_file(path, tmp_path):
    lm = trained(layers=1)
    keras_grow.save_growth(lm, path)
    old = path.read_bytes()
    killed = f"""
import keras_grow
from tiny_models import tiny_lm
lm = tiny_lm("gemma3", intermediate_dim=2048, hidden_dim=1024)
keras_grow.grow_model(lm)
print("saving", flush=True)
keras_grow.save_growth(lm, {str(path)!r})
"""
    process = subprocess.Popen(
        [sys.executable, "-c", killed], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(f.stat().st_size for f in tmp_path.glob("*.part/*")):
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert path.read_bytes() == old
    keras_grow.load_growth(tiny_lm("gemma3"), path)


def test_a_head_that_trains_is_refused_by_name(path):
    lm = tiny_classifier()
    keras_grow.grow_model(lm)
    with pytest.raises(ValueError, match=r"2 that train.*score/kernel"):
        keras_grow.save_growth(lm, path)
    assert not path.exists()
    lm.score.trainable = False
    keras_grow.save_growth(lm, path)
    loaded = keras_grow.load_growth(tiny_classifier(), path)
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))


def test_a_base_that_trains_too_is_refused_by_name(path):
    lm = tiny_lm("gemma3", num_layers=1)
    keras_grow.grow_model(lm)
    lm.backbone.get_layer("final_normalization").trainable = True
    with pytest.raises(ValueError, match=r"1 that train.*final_normalization"):
        keras_grow.save_growth(lm, path)
    assert not path.exists()

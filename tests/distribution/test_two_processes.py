"""Training in two processes of four devices each against training in one."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import two_processes

import keras_grow

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Keras distributes on JAX"
)
SCRIPT = Path(two_processes.__file__)
ORBAX = importlib.util.find_spec("orbax") is not None
SECONDS = 300


def start(folder, *what):
    """Run the script as two processes; how each of them ended."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")
        + " --xla_force_host_platform_device_count=4",
    }
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, SCRIPT, str(number), str(port), folder, *what],
            env=environment,
        )
        for number in range(2)
    ]
    end = time.monotonic() + SECONDS
    try:
        # One that is alone cannot go on: what starts them ends it, as Slurm
        # does.
        while not any(process.poll() for process in processes):
            if all(process.poll() == 0 for process in processes):
                break
            assert time.monotonic() < end, "still running"
            time.sleep(0.1)
        return [process.poll() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def report(folder, part, number):
    return json.loads((folder / f"{part}_{number}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes trained, until the second of them was killed."""
    folder = tmp_path_factory.mktemp("two")
    if ORBAX:
        assert start(folder, "trains", "dies")[1] == -9
    else:
        assert start(folder, "trains") == [0, 0]
    return folder


@pytest.fixture(scope="module")
def one(folder):
    """The loss curve of this process alone, and its model."""
    lm = two_processes.grow(two_processes.make())
    return two_processes.losses(lm), lm


@pytest.mark.parametrize("how", ["data_parallel", "model_parallel"])
def test_two_processes_learn_what_one_does(folder, one, how):
    curve = one[0]
    for number in range(2):
        np.testing.assert_allclose(
            report(folder, "trains", number)[how], curve, rtol=1e-4
        )
    # It learns: by far more than the tolerance above.
    assert curve[-1] < 0.99 * curve[0]


def test_one_process_writes_the_growth_and_nobody_gathers_the_base(folder, one):
    found = [path.name for path in folder.glob("of_*.safetensors")]
    assert found == ["of_0.grow.safetensors"]
    # The base's fingerprint is checked here.
    lm = two_processes.make()
    keras_grow.load_growth(lm, folder / found[0])
    trained = {w.path: w for w in one[1].weights if "/growth_1/" in w.path}
    assert len(trained) == 3
    for weight in lm.weights:
        if weight.path in trained:
            np.testing.assert_allclose(
                weight, trained[weight.path], rtol=1e-4, atol=1e-5
            )
    for number in range(2):
        said = report(folder, "trains", number)
        # In chunks of 256 bytes, no more of a weight came together than that.
        assert said["same_in_parts"]
        assert 0 < said["largest_block"] <= 256
        assert "token_embedding/embeddings" in said["spread"]
        assert set(trained) <= set(said["spread"])


@pytest.mark.skipif(not ORBAX, reason="needs orbax-checkpoint")
def test_training_goes_on_after_one_process_is_killed(folder, one):
    assert start(folder, "resumes") == [0, 0]
    for number in range(2):
        said = report(folder, "resumes", number)
        assert said["first"] == two_processes.DIES_AT
        np.testing.assert_allclose(
            said["losses"], one[0][two_processes.DIES_AT :], rtol=1e-4
        )
    assert (folder / "resumed.grow.safetensors").is_file()

"""Training on eight virtual devices against training on one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

pytestmark = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Keras distributes on JAX"
)
SCRIPT = Path(__file__).parents[1] / "shared" / "eight_devices.py"


DEFAULTS = {
    "family": "gemma3",
    "strategy": "g_freeze",
    "supervised_logits": False,
    "mesh": [2, 4],
    "move": False,
    "older": False,
}
CASES = [
    {**DEFAULTS, "supervised_logits": True, "older": True},
    {
        **DEFAULTS,
        "mesh": [1, 8],
        "family": "gemma",
        "strategy": "g_train",
        "move": True,
    },
    {**DEFAULTS, "mesh": None},
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder in which `eight_devices.py` left what came of the cases."""
    folder = tmp_path_factory.mktemp("eight")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")
        + " --xla_force_host_platform_device_count=8",
    }
    subprocess.run(
        [sys.executable, SCRIPT, json.dumps(CASES), folder],
        check=True,
        env=environment,
    )
    return folder


@pytest.mark.parametrize("index", range(len(CASES)))
def test_eight_devices_learn_what_one_does_and_one_loads_it(index, trained):
    case, folder = CASES[index], trained / str(index)
    report = json.loads((folder / "report.json").read_text())
    np.testing.assert_allclose(report["eight"], report["one"], rtol=1e-4)
    # It learns: by far more than the tolerance above.
    assert report["one"][-1] < 0.999 * report["one"][0]

    # On the one device of this process.
    lm = tiny_lm(case["family"], num_layers=2)
    keras_grow.load_growth(lm, folder / "eight.grow.safetensors")
    np.testing.assert_allclose(
        np.asarray(lm.backbone(token_batch())),
        np.load(folder / "hidden.npy"),
        rtol=1e-4,
        atol=1e-4,
    )

    split = set(report["split"])
    kernels = {
        "token_embedding/embeddings",
        "decoder_block_0/ffw_gating/kernel",
        "decoder_block_1/ffw_gating/kernel",
        "decoder_block_1/ffw_linear/kernel",
        *(w.path for w in lm.weights if re.search("/(older|newer)/", w.path)),
    }
    assert any("/older/" in path for path in kernels) == case["older"]
    if case["mesh"] is None:
        assert not split
        return
    assert kernels <= split
    # Four heads are no eight.
    query = "decoder_block_0/attention/query/kernel"
    assert (query in split) == (case["mesh"] == [2, 4])
    # The forecast is what the first device holds, byte for byte.
    assert report["forecast"]["weights"] == report["weight_bytes"]
    assert report["forecast"]["moments"] == report["moment_bytes"]

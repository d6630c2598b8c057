"""Router files are read as they were written; damaged ones are refused."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.numpy import save_file

from keras_grow.routing.judge import fit_judge
from keras_grow.routing.router_file import RouterFile
from keras_grow.routing.router_file import read_router_file
from keras_grow.routing.router_file import write_router_file
from keras_grow.saving.schema import checksum

pytestmark = pytest.mark.no_backend


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 6)
    judge, held_out = fit_judge(rng.normal(size=(12, 4)), labels, 1, 0.1)
    router = RouterFile(
        judge, held_out, ("french", "none"), {"french": 0.5}, "hidden", 3, ""
    )
    write_router_file(tmp_path / "router", router, "0" * 64)
    return tmp_path / "router"


def changed(path, **fields):
    """Change metadata of the file, and correct its checksum."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    said = json.loads(metadata["router"])
    for name, value in fields.items():
        (metadata if name in metadata else said)[name] = value
    metadata["router"] = json.dumps(said)
    tensors = load_file(path)
    metadata["checksum"] = checksum(tensors, metadata)
    save_file(tensors, path, metadata)


def test_a_file_is_read_as_it_was_written(path):
    found = read_router_file(path)
    assert (found.classes, found.scales) == (
        ("french", "none"),
        {"french": 0.5},
    )
    assert (found.features, found.block) == ("hidden", 3)
    assert found.base == "0" * 64
    assert found.judge.threshold == found.held_out.threshold


def test_a_damaged_file_is_refused(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="do not match their checksum"):
        read_router_file(path)
    path.write_bytes(data[:20])
    with pytest.raises(ValueError, match="damaged or of another kind"):
        read_router_file(path)
    with pytest.raises(FileNotFoundError, match="Expected a router file"):
        read_router_file(path.with_name("missing"))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": "keras_grow.growth"}, "something else"),
        ({"version": "9"}, "version"),
        ({"classes": ["french", "science"]}, "`none` last"),
        ({"classes": ["french", "french", "none"]}, "different names"),
        ({"classes": ["french", "science", "none"]}, "scales"),
        ({"scales": {"french": "loud"}}, "scale of french"),
        ({"features": "smell"}, "features"),
        ({"block": -1}, "block"),
        ({"held_out": {}}, "held_out"),
    ],
)
def test_impossible_fields_are_refused_by_name(path, fields, said):
    changed(path, **fields)
    with pytest.raises(ValueError, match=said):
        read_router_file(path)


def test_arrays_that_do_not_fit_are_refused(path):
    tensors = load_file(path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    tensors["bias"] = np.array([1.0, np.nan])
    metadata["checksum"] = checksum(tensors, metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match="finite float64"):
        read_router_file(path)

"""Impossible contents of an anchor file are refused by name."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_grow.training.anchor_file import metadata
from keras_grow.training.anchor_file import read_anchor

pytestmark = pytest.mark.no_backend

BASE = "0" * 64


def contents():
    """Two passages of three positions, two tokens with a class each."""
    return {
        "token_ids": np.array([[1, 2, 3], [4, 5, 0]], "int32"),
        "padding_mask": np.array([[1, 1, 1], [1, 1, 0]], bool),
        "indices": np.zeros((2, 3, 2), "int32"),
        "log_probs": np.full((2, 3, 3), np.log(1 / 3), "float32"),
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.anchor.safetensors"


@pytest.mark.parametrize("base", [BASE, ""])
def test_a_file_is_read_as_it_was_written(path, base):
    save_file(contents(), path, metadata(base))
    arrays, found = read_anchor(path)
    assert found == base
    for name, array in contents().items():
        np.testing.assert_array_equal(arrays[name], array)


def first(name, value):
    array = contents()[name]
    array.flat[0] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": None}, r"missing fields \['indices'\]"),
        ({"more": np.ones(3, "float32")}, "unknown fields.*more"),
        ({"token_ids": contents()["token_ids"].astype("int64")}, "of I32.*I64"),
        ({"log_probs": contents()["log_probs"].astype("f2")}, "of F32.*F16"),
        ({"padding_mask": np.ones((2, 4), bool)}, "Received:.*2, 4"),
        ({"indices": np.zeros((2, 3), "int32")}, "Received:.*2, 3"),
        ({"indices": np.zeros((2, 3, 3), "int32")}, "Received:.*2, 3, 3"),
        ({"token_ids": np.zeros((), "int32")}, r"'token_ids': \(\)"),
        ({n: a[:0] for n, a in contents().items()}, r"\(0, 3\)"),
        ({"padding_mask": np.zeros((2, 3), bool)}, "a token in each passage"),
        (first("token_ids", -1), "`token_ids` to be token ids.*-1"),
        (first("indices", -7), "`indices` to be token ids.*-7"),
        (first("log_probs", np.nan), "`log_probs` to be finite"),
        (first("log_probs", -np.inf), "`log_probs` to be finite"),
        (first("log_probs", 1e30), "sum to one"),
        (first("log_probs", 0.0), "sum to one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_arrays_are_refused(path, changes, message):
    arrays = {**contents(), **changes}
    arrays = {n: np.copy(a) for n, a in arrays.items() if a is not None}
    save_file(arrays, path, metadata(BASE))
    with pytest.raises(ValueError, match=f"{message}.*In the file.*x.anchor"):
        read_anchor(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "x"}, "KLAnchor.save.*'x'"),
        ({"version": "2"}, "version '2'"),
        ({"base": "x"}, "base='x'"),
        ({"more": "x"}, "unknown fields.*more"),
    ],
    ids=str,
)
def test_another_header_is_refused(path, values, message):
    save_file(contents(), path, {**metadata(BASE), **values})
    with pytest.raises(ValueError, match=message):
        read_anchor(path)


def test_a_damaged_file_is_refused(path):
    save_file(contents(), path, metadata(BASE))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged or of another kind"):
            read_anchor(path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_anchor(path.parent)

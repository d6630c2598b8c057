"""The files of a checkpoint, and the arrays in them."""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_grow.files.checked_json import read_json

_MAX_BYTES = 1 << 26


def shards_of(path: str) -> list[str]:
    """The HDF5 files of a checkpoint: one, or those of a sharded one."""
    if not path.endswith(".json"):
        return [path]
    index = read_json(path, "the index of a sharded checkpoint", _MAX_BYTES)
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict):
        raise ValueError(
            "Expected the index of a sharded checkpoint, with `weight_map`. "
            f"Received: {path!r}, without it"
        )
    names: set[str] = set()
    for value in files.values():
        names.update(value if isinstance(value, list) else [value])
    return [os.path.join(os.path.dirname(path), n) for n in sorted(names)]


@contextlib.contextmanager
def open_h5(path: str) -> Iterator[Any]:
    """An HDF5 file, or the one inside a `.keras` archive."""
    # HDF5 comes with Keras, but only files need it.
    import h5py

    with readable(path), contextlib.ExitStack() as opened:
        file: Any = path
        if path.endswith(".keras"):
            archive = opened.enter_context(zipfile.ZipFile(path))
            file = opened.enter_context(archive.open("model.weights.h5"))
        yield opened.enter_context(h5py.File(file, "r"))


@contextlib.contextmanager
def readable(path: str) -> Iterator[None]:
    """Refuse a damaged file, whatever its reader says of it."""
    try:
        yield
    # zipfile, h5py and NumPy raise a dozen kinds for damaged files.
    except Exception as error:
        raise ValueError(
            "Expected a whole file of weights. Received: "
            f"{path!r}, which cannot be read ({error!r}). Save or copy it "
            "again."
        ) from error


def from_bfloat16(raw: np.ndarray) -> np.ndarray:
    """HDF5 has no bfloat16: its two bytes are the upper two of a float32."""
    bits = raw.view("uint16").astype("uint32") << 16
    return bits.view("float32")

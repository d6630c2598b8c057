"""Files of anchors: passages, the base's predictions and its fingerprint."""

import os
import re

import numpy as np

from keras_grow.files import open_tensors
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import show

FORMAT = "keras_grow.anchor"
VERSION = "1"
_DTYPES = {
    "token_ids": "I32",
    "padding_mask": "BOOL",
    "indices": "I32",
    "log_probs": "F32",
}


def metadata(base: str) -> dict[str, str]:
    """The metadata in the header of an anchor's file.

    `base` is the fingerprint of the base, or an empty string for any.
    """
    return {"format": FORMAT, "version": VERSION, "base": base}


def read_anchor(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], str]:
    """Read an anchor's file: its arrays, and the fingerprint of the base.

    Any other file is a `ValueError`, whatever it holds.
    """
    with open_tensors(path, "an anchor's file", "`KLAnchor.save`") as file:
        base = _base_fingerprint(file.metadata() or {})
        names = list(file.keys())
        check_fields(dict.fromkeys(names), "an anchor", _DTYPES)
        shapes = {}
        for name in names:
            header = file.get_slice(name)
            _check_dtype(name, header.get_dtype())
            shapes[name] = tuple(header.get_shape())
        _check_shapes(shapes)
        arrays = {name: file.get_tensor(name) for name in _DTYPES}
        _check_values(arrays)
    return arrays, base


def _base_fingerprint(metadata: dict[str, str]) -> str:
    """The fingerprint that a header names."""
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise ValueError(
            "Expected a file that `KLAnchor.save` wrote, of version "
            f"{VERSION}. Received: format {show(metadata.get('format'))}, "
            f"version {show(metadata.get('version'))}"
        )
    check_fields(metadata, "an anchor", ("format", "version", "base"))
    base = metadata["base"]
    if not re.fullmatch("([0-9a-f]{64})?", base):
        raise ValueError(
            "Expected `base` to be a fingerprint, 64 hexadecimal digits. "
            f"Received: base={show(base)}"
        )
    return base


def _check_dtype(name: str, dtype: str) -> None:
    if dtype != _DTYPES[name]:
        raise ValueError(
            f"Expected `{name}` of {_DTYPES[name]}. Received: {dtype}"
        )


def _check_shapes(shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse arrays whose positions or classes do not match."""
    rows, k = shapes["token_ids"], shapes["indices"][-1:]
    expected = {
        "token_ids": rows,
        "padding_mask": rows,
        "indices": (*rows, *k),
        "log_probs": (*rows, *(n + 1 for n in k)),
    }
    if len(rows) != 2 or 0 in (*rows, *k) or shapes != expected:
        raise ValueError(
            "Expected `token_ids` and `padding_mask` of shape (passages, "
            "length), `indices` (passages, length, k) and `log_probs` "
            f"(passages, length, k + 1). Received: {shapes}"
        )


def _check_values(arrays: dict[str, np.ndarray]) -> None:
    """Refuse negative ids, and values that are not log-probabilities."""
    for name in ("token_ids", "indices"):
        if arrays[name].min() < 0:
            raise ValueError(
                f"Expected `{name}` to be token ids of 0 or more. Received: "
                f"{arrays[name].min()}"
            )
    if not arrays["padding_mask"].any(axis=1).all():
        raise ValueError(
            "Expected a token in each passage. Received: `padding_mask` with "
            "a row of zeros."
        )
    totals = np.exp(np.minimum(arrays["log_probs"], 1.0)).sum(-1)
    if not np.isfinite(arrays["log_probs"]).all() or (
        np.abs(totals - 1.0).max() > 0.01
    ):
        raise ValueError(
            "Expected `log_probs` to be finite and the logarithms of "
            "probabilities that sum to one. Received: other values."
        )

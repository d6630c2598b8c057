"""Read a growth file of any version, and refuse invalid contents."""

import os
import re
from collections.abc import Callable
from typing import Any

# NumPy does not know bfloat16 until this is imported.
import ml_dtypes  # noqa: F401
import numpy as np

from keras_grow.files import open_tensors
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import show
from keras_grow.growth.config import check_scale
from keras_grow.growth.stored import missing_beneath
from keras_grow.growth.stored import parse_growths
from keras_grow.growth.stored import parse_lora
from keras_grow.saving.schema import FORMAT
from keras_grow.saving.schema import GrowthFile
from keras_grow.saving.schema import check_zeros
from keras_grow.saving.schema import checksum
from keras_grow.saving.schema import growth_of

_MAX_SIZE = 1 << 31


# How safetensors names the dtypes that slices and LoRA kernels may have.
_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


# `blocks.INDEX.SLOT.slice_NUMBER.VARIABLE` of version 1.
_SLICE_1 = re.compile(
    r"(blocks\..+)\.slice_([0-9]{1,5})(?:_(copy_[0-9]+))?\.(\w+)"
)


_FIELDS = ("format", "version", "family", "growths", "lora", "base")


def read_growth_file(
    path: str | os.PathLike[str], *, allow_non_finite: bool = False
) -> GrowthFile:
    """Read a growth file, whatever it holds.

    The contents are checked for consistency: the dtypes of the tensors are
    those that the growths name.
    """
    with open_tensors(path, "a growth file", "`save_growth`") as file:
        metadata = file.metadata() or {}
        _check_kind(metadata)
        for name in file.keys():  # noqa: SIM118
            header = file.get_slice(name)
            _check_header(name, header.get_dtype(), header.get_shape())
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
        if metadata.get("checksum") != checksum(tensors, metadata):
            raise ValueError(
                "Expected a growth file as it was saved. Received: contents "
                "that do not match their checksum. Copy the file again from "
                "where it was saved."
            )
        file_ = _VERSIONS[metadata["version"]](metadata, tensors)
        _check_types(file_)
        check_zeros(file_)
        if not allow_non_finite:
            _check_finite(tensors)
    return file_


def _check_kind(metadata: dict[str, str]) -> None:
    """Refuse files of another kind, and those of a later version."""
    if metadata.get("format") != FORMAT:
        raise ValueError(
            "Expected a file that `keras_grow.save_growth` wrote. Received: "
            "a safetensors file of something else."
        )
    if metadata.get("version") not in _VERSIONS:
        raise ValueError(
            f"Expected a growth file of version {sorted(_VERSIONS)}. "
            f"Received: version {show(metadata.get('version'))}. Install the "
            "keras_grow that wrote it."
        )


def _check_header(name: str, dtype: str, shape: list[int]) -> None:
    """Refuse a tensor that no growth file has, before it is read."""
    fits = shape and all(0 < n < _MAX_SIZE for n in shape)
    if dtype not in _DTYPES or not fits:
        raise ValueError(
            f"Expected tensors of {sorted(_DTYPES.values())} that are not "
            f"empty. Received: {show(name)} of {dtype} and shape {show(shape)}"
        )


def _version_1(
    metadata: dict[str, str], tensors: dict[str, np.ndarray]
) -> GrowthFile:
    """The contents of a file of version 1: growths without names."""
    check_fields(metadata, "a growth file", (*_FIELDS, "checksum"))
    renamed = {}
    for name, tensor in tensors.items():
        found = _SLICE_1.fullmatch(name)
        if found:
            slot, number, copy, variable = found.groups()
            parts = (slot, f"growth_{int(number)}", copy, variable)
            name = "/".join(part for part in parts if part)
        renamed[name] = tensor
    return _common(metadata, renamed, {}, None)


def _version_2(
    metadata: dict[str, str], tensors: dict[str, np.ndarray]
) -> GrowthFile:
    """The contents of a file of version 2."""
    fields = (*_FIELDS, "scales", "beneath", "checksum")
    check_fields(metadata, "a growth file", fields)
    beneath = parse_json(metadata["beneath"], "`beneath`")
    if not isinstance(beneath, dict):
        raise ValueError(
            "Expected `beneath` to be an object: fingerprints by the names of "
            f"growths. Received: beneath={show(beneath)}"
        )
    for name, value in beneath.items():
        _check_fingerprint(value, f"beneath[{show(name)}]")
    scales = parse_json(metadata["scales"], "`scales`")
    return _common(metadata, tensors, beneath, scales)


def _common(
    metadata: dict[str, str],
    tensors: dict[str, np.ndarray],
    beneath: dict[str, str],
    scales: Any,
) -> GrowthFile:
    """What files of every version have."""
    growths = parse_growths(parse_json(metadata["growths"], "`growths`"))
    names = [growth.name for growth in growths]
    if set(missing_beneath(growths)) != set(beneath):
        raise ValueError(
            "Expected `beneath` to have the fingerprint of each growth that "
            "those of the file lie on. Received: "
            f"beneath={show(sorted(beneath))}, needed "
            f"{show(missing_beneath(growths))}"
        )
    if scales is None:
        scales = dict.fromkeys(names, 1.0)
    check_fields(scales, "`scales`", names)
    _check_fingerprint(metadata["base"], "base")
    return GrowthFile(
        check_text(metadata["family"], "family", 256),
        growths,
        {n: check_scale(v, f"scale of {n}") for n, v in scales.items()},
        beneath,
        parse_lora(parse_json(metadata["lora"], "`lora`")),
        metadata["base"],
        tensors,
    )


def _check_fingerprint(value: Any, name: str) -> None:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(
            f"Expected `{name}` to be a fingerprint, 64 hexadecimal digits. "
            f"Received: {name}={show(value)}"
        )


def _check_types(file: GrowthFile) -> None:
    """Refuse slices whose dtype is not the one that their growth names."""
    for name, tensor in file.tensors.items():
        growth = growth_of(name, file.growths)
        if growth and str(tensor.dtype) != growth.slice_dtype:
            raise ValueError(
                f"Expected slices of slice_dtype={growth.slice_dtype!r}. "
                f"Received: `{name}` of {tensor.dtype}"
            )


def _check_finite(tensors: dict[str, np.ndarray]) -> None:
    """Refuse weights that are NaN or infinite."""
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise ValueError(
                f"Expected finite weights. Received: {show(name)} with NaN or "
                "infinity, as after a training that diverged. Pass "
                "`allow_non_finite=True` to load them anyway."
            )


_VERSIONS: dict[
    str, Callable[[dict[str, str], dict[str, np.ndarray]], GrowthFile]
] = {"1": _version_1, "2": _version_2}

"""Safetensors files of bounded size, written one tensor at a time."""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_grow.export.tensors import Tensor

INDEX_FILE = "model.safetensors.index.json"
_NAMES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def write_shards(
    tensors: Sequence[Tensor],
    folder: Path,
    dtype: np.dtype[Any],
    shard_bytes: int,
) -> int:
    """Write tensors as `transformers` reads them, and count the files.

    At most one tensor is in memory, however large the model. The index is not
    counted.
    """
    shards: list[list[Tensor]] = [[]]
    room = shard_bytes
    for tensor in tensors:
        size = _bytes(tensor, dtype)
        if size > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(tensor)
        room -= size
    if len(shards) == 1:
        _write(shards[0], folder / "model.safetensors", dtype)
        return 1
    where = {}
    for index, shard in enumerate(shards, 1):
        name = f"model-{index:05d}-of-{len(shards):05d}.safetensors"
        _write(shard, folder / name, dtype)
        where.update({tensor.name: name for tensor in shard})
    total = sum(_bytes(tensor, dtype) for tensor in tensors)
    (folder / INDEX_FILE).write_text(
        json.dumps(
            {"metadata": {"total_size": total}, "weight_map": where}, indent=2
        ),
        encoding="utf-8",
    )
    return len(shards)


def _write(tensors: Sequence[Tensor], path: Path, dtype: np.dtype[Any]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        end = start + _bytes(tensor, dtype)
        header[tensor.name] = {
            "dtype": _NAMES[dtype.name],
            "shape": tensor.shape,
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    # Tensors begin at a multiple of eight bytes.
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for tensor in tensors:
            file.write(tensor.read(dtype).reshape(-1).view(np.uint8).data)


def _bytes(tensor: Tensor, dtype: np.dtype[Any]) -> int:
    return math.prod(tensor.shape) * dtype.itemsize

"""Reading the tensors of a GGUF file, dequantized."""

import dataclasses
import math
import os
import pathlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.loading.gguf_header import GgufTensor
from keras_grow.loading.gguf_header import parse_header

# Values dequantized at a time: small enough to stay in the processor's cache.
_CHUNK = 1 << 19


@dataclasses.dataclass(frozen=True)
class GgufFile:
    """The checked header of a GGUF file; tensors are read on demand.

    A list of numbers in the metadata is a NumPy array.
    """

    path: pathlib.Path
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]

    def read(self, name: str) -> NDArray[np.float32]:
        """Return one tensor, dequantized to float32 in its NumPy shape."""
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize

        tensor = self.tensors[name]
        kind = GGMLQuantizationType(tensor.kind)
        columns = tensor.shape[-1]
        rows = math.prod(tensor.shape[:-1])
        row_bytes = tensor.nbytes // rows
        step = max(1, _CHUNK // columns)
        values = np.empty((rows, columns), np.float32)
        with open(self.path, "rb") as file:
            file.seek(tensor.offset)
            for start in range(0, rows, step):
                part = values[start : start + step]
                raw = file.read(len(part) * row_bytes)
                if len(raw) != len(part) * row_bytes:
                    raise ValueError(
                        f"Expected {self.path} to be as long as when its "
                        "header was read. "
                        f"Received: tensor={name!r}. Load the file again."
                    )
                packed = np.frombuffer(raw, np.uint8)
                part[:] = dequantize(packed.reshape(len(part), -1), kind)
        return values.reshape(tensor.shape)


def read_gguf(path: str | os.PathLike[str]) -> GgufFile:
    """Read and check the header of a GGUF file.

    The version is 2 or 3, little-endian. No tensor is read yet.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        metadata, tensors = parse_header(file, path)
    return GgufFile(path, metadata, tensors)

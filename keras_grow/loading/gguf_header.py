"""The header of a GGUF file; every size is checked before it is used.

The header says how long its strings, lists and tensors are. None of these
claims is trusted: a claim that does not fit in the file is refused before any
memory is allocated for it. Memory use is bounded by the file's length. The
format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import dataclasses
import math
import os
import pathlib
import struct
from typing import Any
from typing import BinaryIO
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from keras_grow.files.checked_json import show

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_BOOL = 7
_STRING = 8
_ARRAY = 9
_NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    _BOOL: "<u1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
# The minimum bytes of an entry: key or name length, type, value.
_SMALLEST_ENTRY = 8 + 4 + 1
_SMALLEST_TENSOR = 8 + 4 + 4 + 8


@dataclasses.dataclass(frozen=True)
class GgufTensor:
    """The place of a tensor in its file.

    `shape` is in NumPy's order, rows first (the file has them last). `kind` is
    the GGML type number, which names the quantization. `offset` and `nbytes`
    are in bytes, from the start of the file.
    """

    shape: tuple[int, ...]
    kind: int
    offset: int
    nbytes: int


def parse_header(
    file: BinaryIO, path: pathlib.Path
) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    """Return the metadata of a GGUF file, and where its tensors lie."""
    return _Header(file, path).parse()


class _Header:
    """A position in the header, and what is left of the file after it."""

    def __init__(self, file: BinaryIO, path: pathlib.Path) -> None:
        self.file = file
        self.path = path
        self.size = os.fstat(file.fileno()).st_size
        self.position = 0

    def parse(self) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
        self.check_start()
        tensor_count = self.count(_SMALLEST_TENSOR, "tensor count")
        entry_count = self.count(_SMALLEST_ENTRY, "metadata count")
        metadata: dict[str, Any] = {}
        for _ in range(entry_count):
            key = self.string()
            if key in metadata:
                self.refuse("each metadata key once", f"key={show(key)} again")
            metadata[key] = self.value(key)
        described: dict[str, tuple[tuple[int, ...], int, int]] = {}
        for _ in range(tensor_count):
            name = self.string()
            if name in described:
                self.refuse("each tensor once", f"tensor={show(name)} again")
            described[name] = self.describe(name)
        start = self.data_start(metadata)
        tensors = {
            name: self.locate(name, start, *description)
            for name, description in described.items()
        }
        self.check_overlap(tensors)
        return metadata, tensors

    def refuse(self, expected: str, received: str) -> NoReturn:
        raise ValueError(
            f"Expected {self.path} to be a whole GGUF file: {expected}. "
            f"Received: {received}. Download or convert the file again."
        )

    def take(self, count: int) -> bytes:
        left = self.size - self.position
        raw = self.file.read(count) if count <= left else b""
        if len(raw) != count:
            self.refuse(
                f"{count} more bytes at byte {self.position}",
                f"{left} bytes left",
            )
        self.position += count
        return raw

    def integer(self, layout: str) -> int:
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(number)

    def count(self, smallest: int, what: str) -> int:
        number = self.integer("<Q")
        left = self.size - self.position
        if number * smallest > left:
            self.refuse(f"a {what} that fits", f"{what}={number}, left={left}")
        return number

    def string(self) -> str:
        raw = self.take(self.count(1, "string length"))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self.refuse("UTF-8 strings", f"{raw[:40]!r}")

    def check_start(self) -> None:
        magic = self.take(4)
        if magic != _MAGIC:
            self.refuse(f"{_MAGIC!r} at its start", repr(magic))
        version = self.integer("<I")
        if version not in _VERSIONS:
            swapped = version & 0xFFFF == 0
            note = " (a big-endian file)" if swapped else ""
            self.refuse(
                "version 2 or 3, little-endian", f"version={version}{note}"
            )

    def value(self, key: str) -> Any:
        kind = self.integer("<I")
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self.array(key)
        number = self.numbers(kind, 1, key)[0]
        return bool(number) if kind == _BOOL else number.item()

    def array(self, key: str) -> list[str] | NDArray[Any]:
        kind = self.integer("<I")
        if kind == _STRING:
            # Each string takes at least 8 bytes, for its length.
            return [self.string() for _ in range(self.count(8, "list length"))]
        return self.numbers(kind, self.count(1, "list length"), key)

    def numbers(self, kind: int, count: int, key: str) -> NDArray[Any]:
        if kind not in _NUMBERS:
            self.refuse("known value types", f"type={kind} at key={show(key)}")
        dtype = np.dtype(_NUMBERS[kind])
        return np.frombuffer(self.take(count * dtype.itemsize), dtype)

    def describe(self, name: str) -> tuple[tuple[int, ...], int, int]:
        dimensions = self.integer("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            self.refuse(
                f"tensors of 1 to {_MAX_DIMENSIONS} dimensions",
                f"{dimensions} dimensions at tensor={name!r}",
            )
        shape = tuple(self.integer("<Q") for _ in range(dimensions))[::-1]
        return shape, self.integer("<I"), self.integer("<Q")

    def data_start(self, metadata: dict[str, Any]) -> int:
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if (
            not isinstance(alignment, int)
            or alignment < 1
            or alignment & (alignment - 1)
        ):
            self.refuse("a power of two as general.alignment", show(alignment))
        return -(-self.position // alignment) * alignment

    def locate(
        self,
        name: str,
        start: int,
        shape: tuple[int, ...],
        kind: int,
        offset: int,
    ) -> GgufTensor:
        block, block_bytes = self.block_size(name, kind)
        if min(shape) < 1 or shape[-1] % block:
            self.refuse(
                f"positive dimensions, rows in blocks of {block}",
                f"shape={shape} at tensor={name!r}",
            )
        nbytes = math.prod(shape) // block * block_bytes
        begin = start + offset
        if begin + nbytes > self.size:
            self.refuse(
                f"tensor {name!r} inside its {self.size} bytes",
                f"shape={shape}, from byte {begin} to {begin + nbytes}",
            )
        return GgufTensor(shape, kind, begin, nbytes)

    def block_size(self, name: str, kind: int) -> tuple[int, int]:
        from gguf.constants import GGML_QUANT_SIZES
        from gguf.constants import GGMLQuantizationType
        from gguf.quants import dequantize

        try:
            named = GGMLQuantizationType(kind)
            block, block_bytes = GGML_QUANT_SIZES[named]
            # Whether the package can dequantize a type is tried on one block.
            dequantize(np.zeros((1, block_bytes), np.uint8), named)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"Expected tensors of {self.path} in a type that the gguf "
                f"package dequantizes. Received: type={kind} at "
                f"tensor={name!r}. Convert the file to another quantization, "
                "or install a newer gguf."
            ) from error
        return block, block_bytes

    def check_overlap(self, tensors: dict[str, GgufTensor]) -> None:
        # Tensors that share bytes could unpack to far more than the file size.
        end, last = 0, ""
        for name, tensor in sorted(
            tensors.items(), key=lambda item: item[1].offset
        ):
            if tensor.offset < end:
                self.refuse("no shared bytes", f"{last!r} runs into {name!r}")
            end, last = tensor.offset + tensor.nbytes, name

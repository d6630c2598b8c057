"""Hidden states of many rows in a file, read one batch at a time."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from keras_grow.files import atomic_path

# A `.npy` file has no bfloat16: its bits are stored instead.
STORED: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("float32"),
    "bfloat16": np.dtype("uint16"),
}


class StoredStates:
    """Hidden states `[N, S, width]` of rows of different lengths.

    They lie one after the other in a memory-mapped `.npy` file, which holds
    only the positions that a row has. Only what a batch needs is read:
    `states[rows, :length]`, padded with zeros.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        lengths: NDArray[Any],
        positions: int,
        width: int,
        dtype: str,
    ) -> None:
        self.path = Path(path)
        self.dtype = dtype
        self.shape = (len(lengths), positions, width)
        self._lengths = lengths
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._data: NDArray[Any] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the states on disk, written or not."""
        size = STORED[self.dtype].itemsize
        return int(self._starts[-1]) * self.shape[2] * size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: tuple[Any, slice]) -> NDArray[np.float32]:
        """Some rows up to a length, in float32, `[B, length, width]`."""
        rows, cut = key
        _, positions, width = self.shape
        length = len(range(*cut.indices(positions)))
        batch = np.zeros((len(rows), length, width), dtype="float32")
        data = self._opened()
        for place, row in enumerate(rows):
            count = min(int(self._lengths[row]), length)
            start = int(self._starts[row])
            found = data[start : start + count]
            if self.dtype == "bfloat16":
                found = found.view(ml_dtypes.bfloat16)
            batch[place, :count] = found
        return batch

    def write(self, batches: Iterable[tuple[Any, Any]]) -> None:
        """Write the file, whole or not at all.

        `batches` are pairs of the rows of a batch and their states `[B, S,
        width]`; of each row, only its length is kept.
        """
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if self.nbytes > free:
            raise OSError(
                f"Expected room for {self.nbytes / 1e9:.2f} GB of hidden "
                f"states. Received: {os.fspath(folder)!r}, with "
                f"{free / 1e9:.2f} GB. Name another folder, or keep them in "
                'dtype="bfloat16".'
            )
        with atomic_path(self.path) as part:
            data = np.lib.format.open_memmap(
                part,
                mode="w+",
                dtype=STORED[self.dtype],
                shape=(int(self._starts[-1]), self.shape[2]),
            )
            for rows, states in batches:
                states = np.asarray(states).astype(
                    ml_dtypes.bfloat16 if self.dtype == "bfloat16" else "f4"
                )
                for row, found in zip(rows, states, strict=False):
                    count, start = self._lengths[row], self._starts[row]
                    data[start : start + count] = found[:count].view(data.dtype)
            data.flush()
            del data

    def _opened(self) -> NDArray[Any]:
        if self._data is None:
            if not self.path.is_file():
                raise ValueError(
                    "Expected hidden states that are written. Received: "
                    f"{os.fspath(self.path)!r}, which is not there. Call "
                    "`write()` first."
                )
            self._data = np.load(self.path, mmap_mode="r")
        return self._data

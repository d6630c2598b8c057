"""Safetensors files that are written whole or not at all, and read back."""

import contextlib
import os
from collections.abc import Iterator
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_grow.files.atomic import atomic_path
from keras_grow.files.checked_json import in_file

if TYPE_CHECKING:
    import numpy as np


def save_tensors(
    tensors: "Mapping[str, np.ndarray]",
    path: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write arrays to a file that takes its name when it is complete.

    Args:
        tensors: arrays by name.
        path: the file, see `atomic_path`.
        metadata: texts by name.

    Raises:
        OSError: if the folder cannot be written, or the disk is full.

    Example:

    ```python
    import numpy as np
    from keras_grow.files import save_tensors

    save_tensors({"ones": np.ones(3)}, "ones.safetensors")
    ```
    """
    # Late, so that a command's help need not wait for NumPy.
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    with atomic_path(path) as part:
        try:
            save_file(dict(tensors), part, metadata)
        except SafetensorError as error:
            raise OSError(
                f"Expected to write {os.fspath(path)!r}. Received: {error}"
            ) from error


@contextlib.contextmanager
def open_tensors(
    path: str | os.PathLike[str], what: str, writer: str
) -> Iterator[Any]:
    """Open a safetensors file; each error of the block names the file.

    `what` it is, such as "a growth file", and what writes it are for messages.
    """
    from safetensors import SafetensorError
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(
            f"Expected {what}. Received: path={os.fspath(path)!r}, which does "
            "not exist or is not a file."
        )
    with in_file(path):
        try:
            with safe_open(path, framework="numpy") as file:
                yield file
        except SafetensorError as error:
            raise ValueError(
                f"Expected a safetensors file that {writer} wrote. Received: "
                f"one that is damaged or of another kind ({error}). Write it "
                "again, or copy it again."
            ) from error

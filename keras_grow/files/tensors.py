"""Safetensors files that are written whole or not at all."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from keras_grow.files.atomic import atomic_path

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

"""Safetensors files that are there whole or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file


def save_tensors(
    tensors: Mapping[str, np.ndarray],
    path: Path,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write arrays to a file that takes its name when all is written.

    A save that is killed leaves a file of that name as it was, and a folder
    `NAME.PID.part` beside it.

    Args:
        tensors: arrays by name.
        path: the file.
        metadata: texts by name.

    Raises:
        OSError: if the folder cannot be written, or the disk is full.
    """
    folder = path.with_name(f"{path.name}.{os.getpid()}.part")
    # A killed process may have had the same number.
    folder.mkdir(exist_ok=True)
    try:
        written = folder / path.name
        written.touch()
        mode = written.stat().st_mode
        try:
            save_file(dict(tensors), written, metadata)
        except SafetensorError as error:
            raise OSError(
                f"Expected to write {os.fspath(path)!r}. Received: {error}"
            ) from error
        # safetensors makes files that no other user may read.
        written.chmod(mode)
        os.replace(written, path)
    finally:
        shutil.rmtree(folder)

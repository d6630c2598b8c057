"""Files and folders that are written whole or not at all."""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary path for a file or folder that then takes its name.

    Until everything is written, whatever has that name stays as it was. If the
    process is killed meanwhile, a folder `NAME.HOST-PID-TAG.part` remains
    beside it; the next write of that name on that machine removes it.

    Args:
        path: the name. A file of that name is replaced; a folder of that name
            must be empty or missing.

    Yields:
        Where to write: a free path with the same last part and so the same
        suffix. What is made there gets the modes of the umask, even if the
        writer makes files private.

    Raises:
        OSError: if the folder cannot be written, or the disk is full.

    Example:

    ```python
    import numpy as np
    from keras_grow.files import atomic_path

    with atomic_path("arrays.npz") as part:
        np.savez(part, ones=np.ones(3))
    ```
    """
    # A link is followed, as `open` would.
    path = Path(os.path.realpath(path))
    _remove_leftovers(path)
    tag = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder = path.with_name(f"{path.name}.{tag}.part")
    folder.mkdir()
    try:
        part = folder / path.name
        yield part
        _open_to_umask(part)
        os.replace(part, path)
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    r"""Open a text file that takes its name only when all is written.

    Args:
        path: the name, see `atomic_path`.

    Yields:
        The file, in UTF-8 with the line ends that are written.

    Raises:
        OSError: if the folder cannot be written, or the disk is full.

    Example:

    ```python
    from keras_grow.files import write_atomically

    with write_atomically("notes.txt") as file:
        file.write("Whole or not at all.\n")
    ```
    """
    with (
        atomic_path(path) as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        yield file


def _open_to_umask(part: Path) -> None:
    probe = part.with_name(f"{part.name}.mode")
    probe.touch()
    mode = probe.stat().st_mode
    for file in [part, *part.rglob("*")]:
        if file.is_file():
            file.chmod(mode)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes of this machine left for this name."""
    if os.name == "nt":
        return  # On Windows, probing a process with signal 0 would end it.
    start = f"{path.name}.{socket.gethostname()}-"
    for left in path.parent.iterdir():
        name = left.name
        if name.startswith(start) and name.endswith(".part"):
            owner = name[len(start) :].partition("-")[0]
            if owner.isdigit() and not _runs(int(owner)):
                shutil.rmtree(left, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It belongs to another user.
    return True

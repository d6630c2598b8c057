"""Writing a text file whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file that takes its name only when all is written.

    Args:
        path: the name; a file of that name is replaced.
    """
    folder = os.path.dirname(os.path.abspath(path))
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

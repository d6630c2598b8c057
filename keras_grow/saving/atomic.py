"""Text files that are there whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def write_atomically(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a text file that takes its name only when all is written.

    A process that is killed meanwhile leaves a file of that name as it was,
    and `NAME.PID.part` beside it.

    Args:
        path: the name; a file of that name is replaced.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

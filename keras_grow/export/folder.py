"""Where an export goes: a folder or a file, written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_grow.files import atomic_path


@contextlib.contextmanager
def write_whole(path: Path, needed: int) -> Iterator[Path]:
    """`atomic_path` in a folder that is made, with `needed` bytes free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(
            f"Expected {needed:,} bytes of room in {path.parent}. Received: "
            f"{free:,} bytes free. Free some, or export to another disk."
        )
    with atomic_path(path) as part:
        yield part


def check_empty(folder: Path) -> None:
    """Refuse a folder that is not empty, or a path that is not a folder."""
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ValueError(
            "Expected a folder that is new or empty. Received: "
            f"{os.fspath(folder)!r}, which is not empty. Remove it "
            "yourself, or name another."
        )

"""A folder or a file that is written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def write_whole(path: Path, needed: int) -> Iterator[Path]:
    """Provide a temporary sibling of `path`, which becomes `path` at the end.

    The caller leaves in it either the contents of the folder `path`, or one
    file named as `path` is. `needed` bytes must be free on the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(
            f"Expected {needed:,} bytes of room in {path.parent}. Received: "
            f"{free:,} bytes free. Free some, or export to another disk."
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    # A killed process may have had the same number.
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        written = part / path.name
        os.replace(written if written.is_file() else part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_empty(folder: Path) -> None:
    """Refuse a folder that is not empty, or a path that is not a folder."""
    if not folder.exists():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ValueError(
            "Expected a folder that is new or empty. Received: "
            f"{os.fspath(folder)!r}, which has something in it. Remove it "
            "yourself, or name another."
        )

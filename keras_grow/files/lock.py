"""A lock that ends with the process that holds it."""

import contextlib
import os
from collections.abc import Iterator

import filelock


@contextlib.contextmanager
def only_one(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a lock file, which is released if the process is killed.

    Args:
        path: the lock file. It is made, and may stay.

    Raises:
        BlockingIOError: if another process, or this one, holds it.

    Example:

    ```python
    from keras_grow.files import only_one

    with only_one("lock"):
        print("Nobody else is here.")
    ```
    """
    try:
        held = filelock.FileLock(path).acquire(timeout=0)
    except filelock.Timeout as error:
        raise BlockingIOError(
            f"Expected a free lock. Received: {os.fspath(path)!r}, which a "
            "process holds already. Wait for it, or end it."
        ) from error
    with held:
        yield

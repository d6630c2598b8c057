"""What models and the app hold in memory."""

import os
from pathlib import Path
from typing import Any


def bytes_of(lm: Any) -> int:
    """Bytes of a model's weights."""
    from keras_grow.growth.costs import variable_bytes

    return sum(variable_bytes(weight) for weight in lm.weights)


def size(count: int) -> str:
    """A number of bytes in words."""
    if count < 10**8:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e9:.2f} GB"


def resident() -> int:
    """Bytes of memory that this process has (Linux), 0 where not known."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")

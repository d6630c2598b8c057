"""Keras without what its C++ libraries log while they load."""

import contextlib
import os
import re
from collections.abc import Iterator

from keras_grow.standard_error import without_lines

# The form of absl's information and warnings before it is set up.
_LOGGED = re.compile(
    rb"WARNING: All log messages before absl|[IW]\d{4} [\d:.]+ +\d+ \S+:\d+\]"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Import Keras in this block to start without absl's log.

    TensorFlow logs missing GPUs and its build while it is loaded, before any
    setting can stop it. Everything else written to standard error meanwhile
    appears when the block ends, or fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with without_lines(_LOGGED):
        yield

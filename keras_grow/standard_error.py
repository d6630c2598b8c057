"""Standard error without certain lines that C++ libraries write to it."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def without_lines(pattern: re.Pattern[bytes]) -> Iterator[None]:
    """Drop lines on standard error that begin with a pattern.

    Everything else written to it meanwhile appears when the block ends, or
    fails.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        own = os.dup(2)
    except OSError:
        # A process without standard error, such as a Windows service.
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            if sys.stderr is not None:
                sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            said.seek(0)
            for line in said:
                if not pattern.match(line) and sys.stderr is not None:
                    sys.stderr.write(line.decode(errors="replace"))

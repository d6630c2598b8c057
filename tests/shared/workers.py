"""The processes in which the app trains."""

import os


def worker_of(own):
    """Id of the process that trains in a folder."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if os.fspath(own).encode() in words:
                return int(name)
    raise AssertionError("no process")

"""One run of a comparison as a process: what `compare` starts."""

import sys

from keras_grow.command import status_of
from keras_grow.command.quiet_start import quiet_start


def main() -> int:
    """Run one method of a plan: `python -m keras_grow.command.one_run`.

    Returns:
        Exit status, see `status_of`.
    """
    with quiet_start():
        from keras_grow.comparison.run import main as run
    return status_of(run)


if __name__ == "__main__":
    sys.exit(main())

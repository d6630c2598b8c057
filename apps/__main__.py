"""`python -m apps RUN_OR_MODEL`."""

import sys

from apps.command import main

sys.exit(main(["app", *sys.argv[1:]]))

"""`python -m keras_grow.app RUN_OR_MODEL`."""

import sys

from keras_grow.command import main

sys.exit(main(["app", *sys.argv[1:]]))

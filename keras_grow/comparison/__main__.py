"""One run as a process: what `compare` starts."""

import sys

from keras_grow.command import status_of
from keras_grow.comparison.run import main

sys.exit(status_of(main))

"""One run as a process: what `compare` starts."""

from keras_grow.comparison.run import main

main()

"""Progress of a score: Keras' bar, or the user's function."""

from collections.abc import Callable

import keras

# Called with how many are done, and how many there are.
ProgressCallback = Callable[[int, int], None]
ShowProgress = bool | ProgressCallback


def reporter(progress: ShowProgress, total: int) -> Callable[[int], None]:
    """Make a function that reports how many rows are done."""
    if callable(progress):
        function = progress
        return lambda done: function(done, total)
    if progress and total:
        bar = keras.utils.Progbar(total, unit_name="row")
        return lambda done: bar.update(done)
    return lambda done: None

"""Progress of a score: Keras' bar, or a function of the user's."""

from collections.abc import Callable

import keras

Progress = bool | Callable[[int, int], None]


def reporter(progress: Progress, total: int) -> Callable[[int], None]:
    """Make a function that reports how many rows are done."""
    if callable(progress):
        function = progress
        return lambda done: function(done, total)
    if progress and total:
        bar = keras.utils.Progbar(total, unit_name="row")
        return lambda done: bar.update(done)
    return lambda done: None

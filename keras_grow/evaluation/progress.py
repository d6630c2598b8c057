"""Progress of a score: Keras' bar, or a function of the user's."""

from collections.abc import Callable

import keras

Progress = bool | Callable[[int, int], None]


def reporter(progress: Progress, total: int) -> Callable[[int], None]:
    """Make a function that reports how many rows are done.

    Args:
        progress: `True` for Keras' progress bar, `False` for none, or a
            function called with the number of rows done and of all rows.
        total: how many rows there are.

    Returns:
        A function of how many rows are done.

    Example:

    ```python
    from keras_grow.evaluation.progress import reporter

    reporter(True, 10)(5)
    ```
    """
    if callable(progress):
        function = progress
        return lambda done: function(done, total)
    if progress and total:
        bar = keras.utils.Progbar(total, unit_name="row")
        return lambda done: bar.update(done)
    return lambda done: None

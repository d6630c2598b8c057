"""Models without values, to plan with what would not fit in memory."""

import contextlib
from collections.abc import Iterator

import keras

from keras_grow.keras_internals import pending_variables
from keras_grow.keras_internals import set_pending_variables


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Build models whose weights have shapes, dtypes and paths but no values.

    For `memory_per_device`, `layout_map` and `growth_report`. Such a model
    cannot be called.

    Example:

    ```python
    with keras_grow.distribution.shapes_only():
        backbone = keras_hub.models.Gemma3Backbone(**config, dtype="bfloat16")
    ```
    """
    pending = pending_variables()
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Keras would make their values at the end of the next such scope.
        set_pending_variables(pending)

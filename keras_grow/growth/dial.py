"""Turn the dial for a while, then put it back."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_grow.growth.scale import growths
from keras_grow.growth.scale import set_growths


@contextmanager
def dial_restored(
    model: keras.Model, *, only_after_errors: bool = False
) -> Iterator[dict[str, float]]:
    """Put the dial of a grown model back when the block ends, or fails.

    It yields the scale of each growth as it was. With `only_after_errors`, a
    block that ends well leaves the dial as it set it.
    """
    before = {name: growth.scale for name, growth in growths(model).items()}
    # Changes nothing, but refuses what could not be put back later.
    set_growths(model, before)
    try:
        yield before
    except BaseException:
        set_growths(model, before)
        raise
    if not only_after_errors:
        set_growths(model, before)

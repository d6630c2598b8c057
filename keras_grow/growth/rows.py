"""A dial for each row of a batch: the base and its growths in one pass."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from keras_grow.growth.state import grown_state
from keras_grow.layers.expand import is_replaced


@contextmanager
def rows_computed(
    model: keras.Model, rows: Sequence[Mapping[str, float]]
) -> Iterator[None]:
    """Compute what any row of a batch needs, and no other slice.

    The scales themselves stay as they are; see `row_scales`. A growth that a
    row does not name has scale 0 there.
    """
    layers = grown_state(model).grown_layers
    before = [(layer.active, layer.base_active) for layer in layers]
    for layer in layers:
        scales = [
            [row.get(new.name, 0.0) for new in layer.slices] for row in rows
        ]
        layer.active = tuple(map(any, zip(*scales, strict=True)))
        layer.base_active = not all(
            is_replaced(own, layer.base_shares) for own in scales
        )
    try:
        yield
    finally:
        for layer, (active, base) in zip(layers, before, strict=True):
            layer.active, layer.base_active = active, base


@contextmanager
def row_scales(model: keras.Model, scales: Any) -> Iterator[None]:
    """Give every row of a batch scales of its own, float32 `[rows, growths]`.

    It is entered inside a function that is compiled, so that turning the dial
    compiles nothing, and inside `rows_computed`. Growths are oldest first.
    """
    state = grown_state(model)
    names = state.names
    for layer in state.grown_layers:
        own = [names.index(new.name) for new in layer.slices]
        layer.row_scales = ops.take(scales, ops.array(own, "int32"), axis=1)
    try:
        yield
    finally:
        for layer in state.grown_layers:
            layer.row_scales = None

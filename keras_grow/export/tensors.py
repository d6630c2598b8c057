"""The tensors of a checkpoint, described first and read one at a time."""

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.export.weight_maps import Row
from keras_grow.export.weight_maps import WeightMap


@dataclass(frozen=True)
class Tensor:
    """A tensor to be written, by its name and shape in the checkpoint.

    `holder` is the block or the backbone that has the sources of `row`.
    """

    name: str
    shape: tuple[int, ...]
    row: Row
    holder: Any

    def read(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The value, in its own memory.

        A value that `dtype` cannot hold is refused.
        """
        values = [
            keras.ops.convert_to_numpy(_weight(self.holder, source))
            for source in self.row.sources
        ]
        with np.errstate(over="ignore"):
            found = np.ascontiguousarray(
                _arranged(self.row, values), dtype=dtype
            )
        if dtype == np.float16:
            check_float16(found, self.name)
        return found


def check_float16(found: NDArray[Any], name: str) -> None:
    """Refuse weights that float16 cannot hold."""
    if not np.isfinite(found).all():
        raise ValueError(
            "Expected weights of at most 65504, the largest number of float16. "
            f"Received: larger ones, or none that are numbers, in {name}. "
            "Export in bfloat16 or float32."
        )


def tensors_of(backbone: Any, weights: WeightMap) -> list[Tensor]:
    """The tensors of a backbone, in the order of its blocks."""
    found = []
    for prefix, rows, holder in _holders(backbone, weights):
        for row in rows:
            shape = _shape(row, holder)
            if shape is not None:
                found.append(Tensor(prefix + row.target, shape, row, holder))
    return found


def padding(tensors: list[Tensor], weights: WeightMap) -> int:
    """How many parameters only pad all MLPs to one width.

    Blocks that grew less than others end with neurons whose up- and
    down-projection weights are all zero.
    """
    count = 0
    for down in tensors:
        if down.row.target != weights.down:
            continue
        width = down.shape[weights.neurons]
        layer = weights.down.removesuffix("weight")
        mlp = [
            tensor
            for tensor in tensors
            if tensor.holder is down.holder
            and tensor.row.target.startswith("mlp.")
            and not tensor.row.target.startswith(layer)
        ]
        used = _used(down, weights.neurons, width)
        for tensor in mlp:
            axis = 1 - weights.neurons if len(tensor.shape) == 2 else 0
            used |= _used(tensor, axis, width)
        padded = int(np.argmax(used[::-1])) if used.any() else width
        for tensor in (down, *mlp):
            count += padded * (math.prod(tensor.shape) // width)
    return count


def _used(tensor: Tensor, axis: int, width: int) -> NDArray[Any]:
    """Which neurons have a weight other than zero in a tensor."""
    value = np.moveaxis(tensor.read(np.dtype(np.float32)) != 0, axis, 0)
    # A fused tensor has every neuron twice.
    return np.asarray(value.reshape(-1, width, value[0].size).any(axis=(0, 2)))


def _holders(
    backbone: Any, weights: WeightMap
) -> Iterator[tuple[str, tuple[Row, ...], Any]]:
    yield "", weights.model, backbone
    for index, block in enumerate(backbone.transformer_layers):
        yield weights.prefix.format(index=index), weights.block, block


def _weight(holder: Any, source: str) -> Any:
    return operator.attrgetter(source)(holder)


def _arranged(row: Row, values: list[Any]) -> NDArray[Any]:
    parts = [row.arrange(np.asarray(value)) for value in values]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, row.axis)


def _shape(row: Row, holder: Any) -> tuple[int, ...] | None:
    """The shape that the tensor will have; None if the model is without it."""
    stand_ins = []
    for source in row.sources:
        *path, name = source.split(".")
        layer = _weight(holder, ".".join(path)) if path else holder
        weight = getattr(layer, name, None)
        if weight is None and row.optional:
            return None
        if weight is None:
            raise AttributeError(f"{type(layer).__name__} has no {name}")
        # A view of one byte: finding the shape costs no memory.
        stand_ins.append(np.broadcast_to(np.int8(0), tuple(weight.shape)))
    return tuple(_arranged(row, stand_ins).shape)

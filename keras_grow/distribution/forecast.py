"""Forecast the memory of a training step's state on each device."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_grow.distribution.layout import layout_map
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.costs import dtype_bits
from keras_grow.growth.families import backbone_of
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import growths_of
from keras_grow.keras_internals import kernel_variable
from keras_grow.layers.expand import slice_specs


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes that the state of a training step takes on each device.

    Activations, and kernels gathered while they are used, come on top.

    Attributes:
        frozen: weights that do not train.
        trainable: weights that train.
        gradients: their gradients.
        moments: Adam's two moments of them.
    """

    frozen: int
    trainable: int
    gradients: int
    moments: int

    @property
    def total(self) -> int:
        """The sum of all four."""
        return self.frozen + self.trainable + self.gradients + self.moments


def memory_per_device(
    model: keras.Model, mesh: Any, growth: GrowthConfig | None = None
) -> DeviceMemory:
    """Forecast the memory that training takes on each device of a mesh.

    On a mesh of one device the total is the `training_bytes` of
    `growth_report`.

    Args:
        model: a KerasHub task or backbone that `layout_map` knows. It may be
            one of `shapes_only`, without memory for weights.
        mesh: a `keras.distribution.DeviceMesh` with the axes `"batch"` and
            `"model"`. Its devices need not exist.
        growth: a planned growth, of which only the new weights would train.
            Defaults to `None`: the model trains as it is.

    Returns:
        Bytes on each device: of `frozen` weights, of `trainable` ones, of
        their `gradients` and of Adam's two `moments`, and their `total`.
        Activations, and kernels gathered while they are used, come on top.

    Raises:
        ValueError: if `growth` is given for a model that is grown already, or
            names a block that the model lacks.

    Example:

    ```python
    mesh = keras.distribution.DeviceMesh(
        (1, 8), ("batch", "model"), devices=[f"gpu:{i}" for i in range(8)]
    )
    with keras_grow.distribution.shapes_only():
        backbone = keras_hub.models.Gemma3Backbone(**config, dtype="bfloat16")
    growth = keras_grow.GrowthConfig(factor=2, layers=tuple(range(10)))
    memory = keras_grow.distribution.memory_per_device(backbone, mesh, growth)
    print(memory.total)
    ```
    """
    backbone = backbone_of(model)
    if growth is not None and growths_of(backbone):
        raise ValueError(
            "Expected a model that is not grown, or `growth=None` to read what "
            f"is grown from the model. Received: growth={growth!r}"
        )
    layouts = layout_map(backbone, mesh)
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    frozen = trainable = 0
    for path, shape, dtype, trains in _variables(backbone, growth):
        layout = layouts[path]
        axes = layout.axes if layout is not None else ()
        devices = math.prod(sizes[axis] for axis in axes if axis is not None)
        count = math.prod(shape) // devices * dtype_bits(dtype) // 8
        if trains:
            trainable += count
        else:
            frozen += count
    return DeviceMemory(frozen, trainable, trainable, 2 * trainable)


def _variables(
    backbone: keras.Model, growth: GrowthConfig | None
) -> Iterator[tuple[str, tuple[int, ...], str, bool]]:
    """Path, shape and dtype of every weight, and whether it trains."""
    for weight in backbone.weights:
        dtype = keras.backend.standardize_dtype(weight.dtype)
        trains = weight.trainable and growth is None
        yield weight.path, tuple(weight.shape), dtype, trains
    if growth is None:
        return
    state = ModelState.of(backbone)
    slots = state.family.slots
    for index in resolve_layers(growth.layers, len(state.blocks)):
        mlp = state.family.mlp_of(state.blocks[index])
        for slot, layer in zip(slots, mlp, strict=True):
            kernel = kernel_variable(layer)
            folder = kernel.path.rpartition("/")[0]
            specs = slice_specs(
                growth.name,
                growth.factor,
                growth.strategy,
                "input" if slot == slots[-1] else "output",
                kernel.shape,
                layer.bias is not None,
            )
            if slot == slots[-1]:
                scale = f"{folder}/{growth.name}_scale"
                yield scale, (), "float32", False
            for name, shape in specs.items():
                yield f"{folder}/{name}", shape, growth.slice_dtype, True

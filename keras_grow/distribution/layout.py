"""Which axis of which weight is split over which axis of a device mesh."""

import re
from operator import attrgetter
from typing import Any

import keras

from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.keras_internals import embedding_variable
from keras_grow.keras_internals import kernel_variable

# Axes of a kernel: split over the devices of the model, over those of the
# batch, or whole. Queries, keys and values are [heads, hidden, head size].
ATTENTION = {
    "query": ("model", "batch", None),
    "key": ("model", "batch", None),
    "value": ("model", "batch", None),
    "attention_output": ("model", None, "batch"),
}
UP = ("batch", "model")
DOWN = ("model", "batch")
EMBEDDING = ("model", "batch")


def layout_map(
    model: keras.Model,
    mesh: keras.distribution.DeviceMesh,
    model_axis: str = "model",
    batch_axis: str = "batch",
) -> keras.distribution.LayoutMap:
    """Lay the weights of a Gemma or Gemma 3, grown or not, over a mesh.

    A kernel is split in two ways: heads, neurons of the MLP and entries of the
    vocabulary over `model_axis`; the hidden dimension over `batch_axis`, as in
    KerasHub's map for Gemma, so that devices which share no part of the model
    do not hold the same weights twice. New slices are split as their base is.
    An axis that its devices do not divide, such as the one key-value head of
    Gemma 3 270M and 1B, stays whole. Norms, LoRA kernels and grown attention
    do too.

    Args:
        model: a KerasHub task or backbone. Only the shapes of its weights are
            read: it may be one of `shapes_only`, without memory, to lay out a
            model that fits no single device.
        mesh: a `keras.distribution.DeviceMesh`.
        model_axis: name of the axis of `mesh` that the model is split over.
        batch_axis: name of the axis that batches are split over.

    Returns:
        A `keras.distribution.LayoutMap` for the model and its growths, those
        to come included.

    Raises:
        TypeError: if `mesh` is no `DeviceMesh` or `model` no KerasHub model.
        ValueError: if the model is no Gemma, or an axis is not in the mesh.

    Example:

    ```python
    mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
    layout = keras_grow.layout_map(lm, mesh)
    distribution = keras.distribution.ModelParallel(layout_map=layout)
    keras.distribution.set_distribution(distribution)
    keras_grow.distribution.distribute(lm, distribution)
    keras_grow.grow_model(lm)
    lm.fit(data)
    ```
    """
    if not isinstance(mesh, keras.distribution.DeviceMesh):
        raise TypeError(
            "Expected `mesh` to be a `keras.distribution.DeviceMesh`. "
            f"Received: mesh={mesh!r} (of type {type(mesh)})"
        )
    names = {"model": model_axis, "batch": batch_axis}
    missing = sorted(set(names.values()) - set(mesh.axis_names))
    if missing:
        raise ValueError(
            f"Expected a mesh with the axes {sorted(names.values())}; either "
            f"may have one device. Received: mesh={mesh!r}, without {missing}"
        )
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    layouts = keras.distribution.LayoutMap(mesh)
    for pattern, shape, roles in _kernels(backbone_of(model)):
        axes = [None if role is None else names[role] for role in roles]
        layouts[pattern] = tuple(
            axis if axis is not None and size % sizes[axis] == 0 else None
            for axis, size in zip(axes, shape, strict=True)
        )
    return layouts


def _kernels(
    backbone: keras.Model,
) -> list[tuple[str, tuple[int, ...], tuple[str | None, ...]]]:
    """Pattern of the paths, shape and split of every kind of kernel."""
    family = family_of(backbone)
    block = family.blocks_of(backbone)[0]
    attention = getattr(block, "attention", None)
    if attention is None or not hasattr(attention, "query_dense"):
        raise ValueError(
            "Expected a Gemma or Gemma 3, whose blocks have an attention layer "
            "with query, key, value and output kernels. Received: "
            f"{type(backbone).__name__}. Write a "
            "`keras.distribution.LayoutMap` for it."
        )
    any_block = re.sub(r"\d+$", r"\\d+", re.escape(block.name))
    table = embedding_variable(backbone.token_embedding)
    kernels: list[tuple[str, Any, tuple[str | None, ...]]] = [
        (re.escape(table.path), table, EMBEDDING)
    ]
    for weight in attention.weights:
        layer, _, name = weight.path.rpartition("/")
        layer = layer.rpartition("/")[2]
        if name == "kernel" and layer in ATTENTION:
            pattern = f"(.*/)?{any_block}/attention/{layer}/kernel"
            kernels.append((pattern, weight, ATTENTION[layer]))
    for slot in family.slots:
        layer = attrgetter(slot)(block)
        base = getattr(layer, "base", layer)
        # A slice adds a multiple of the base's width: what divides one
        # divides the other.
        pattern = rf"(.*/)?{any_block}/{layer.name}/(.*/)?kernel"
        roles = DOWN if slot == family.down else UP
        kernels.append((pattern, kernel_variable(base), roles))
    return [(p, tuple(v.shape), tuple(roles)) for p, v, roles in kernels]

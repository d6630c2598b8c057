"""Which axis of which weight is split over which axis of a device mesh."""

import re
from typing import Any

import keras
from keras.layers import Dense
from keras.layers import EinsumDense

from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.keras_internals import embedding_variable
from keras_grow.keras_internals import kernel_variable
from keras_grow.layers.growable_dense import base_layer_of

# Axes of a kernel: split over the devices of the model, over those of the
# batch, or whole.
UP = ("batch", "model")
DOWN = ("model", "batch")
EMBEDDING = ("model", "batch")
HEAD = ("batch", "model")

Roles = tuple[str | None, ...]


def layout_map(
    model: keras.Model,
    mesh: keras.distribution.DeviceMesh,
    model_axis: str = "model",
    batch_axis: str = "batch",
) -> keras.distribution.LayoutMap:
    """Lay the weights of a model, grown or not, over a mesh.

    A kernel is split in two ways: heads, neurons of the MLP and entries of the
    vocabulary over `model_axis`; the hidden dimension over `batch_axis`, as in
    KerasHub's map for Gemma, so that devices which share no part of the model
    do not hold the same weights twice. New slices are split as their base is.
    An axis that the number of its devices does not divide, such as the single
    key-value head of Gemma 3 270M and 1B, stays whole. So do norms, biases,
    the scales of int8, LoRA kernels, grown attention, routed experts, and the
    token mixing of a family whose row of data names no attention (Qwen 3.5).

    Args:
        model: a KerasHub task or backbone. Only the shapes of its weights are
            read: it may be one of `shapes_only`, without memory, to lay out a
            model that fits no single device.
        mesh: a `keras.distribution.DeviceMesh`.
        model_axis: name of the axis of `mesh` that the model is split over.
        batch_axis: name of the axis that batches are split over.

    Returns:
        A `keras.distribution.LayoutMap` for the model and its growths,
        including later ones.

    Raises:
        TypeError: if `mesh` is not a `DeviceMesh`, or `model` is not a KerasHub
            model.
        ValueError: if the model's family is unknown, the two axes are one, or
            an axis is not in the mesh.

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
    if model_axis == batch_axis:
        raise ValueError(
            "Expected different axes for the model and for batches; either may "
            f"have one device. Received: model_axis={model_axis!r}, "
            f"batch_axis={batch_axis!r}"
        )
    missing = sorted(set(names.values()) - set(mesh.axis_names))
    if missing:
        raise ValueError(
            f"Expected a mesh with the axes {sorted(names.values())}; either "
            f"may have one device. Received: mesh={mesh!r}, without {missing}"
        )
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    layouts = keras.distribution.LayoutMap(mesh)
    for pattern, kernels in _kernels(backbone_of(model)).items():
        splits = {
            path: _split(tuple(variable.shape), roles, names, sizes)
            for path, (variable, roles) in kernels.items()
        }
        if len(set(splits.values())) == 1:
            splits = {pattern: next(iter(splits.values()))}
        for path, axes in splits.items():
            layouts[path] = axes
    return layouts


def _split(
    shape: tuple[int, ...],
    roles: Roles,
    names: dict[str, str],
    sizes: dict[str, int],
) -> tuple[str | None, ...]:
    """The mesh axis for each axis of a kernel that its devices divide."""
    axes = [None if role is None else names[role] for role in roles]
    return tuple(
        axis if axis is not None and size % sizes[axis] == 0 else None
        for axis, size in zip(axes, shape, strict=True)
    )


def _kernels(
    backbone: keras.Model,
) -> dict[str, dict[str, tuple[keras.Variable, Roles]]]:
    """Kernels and their split by a pattern of their paths in one block.

    They are grouped by the pattern of their paths in any block, which suffices
    if all of a group are split alike.
    """
    family = family_of(backbone)
    embedding = family.embedding_of(backbone)
    found: dict[str, dict[str, tuple[keras.Variable, Roles]]] = {}
    for variable in embedding.weights:
        if len(variable.shape) < 2:
            continue  # The scales of a table in int8.
        tied = variable is embedding_variable(embedding)
        pattern = re.escape(variable.path)
        found[pattern] = {pattern: (variable, EMBEDDING if tied else HEAD)}
    for block in family.blocks_of(backbone):
        name = re.escape(block.name)
        any_name = re.sub(r"\d+$", r"\\d+", name)
        layers = dict(zip(family.slots, family.mlp_of(block), strict=True))
        layers.update(family.attention_of(block))
        for slot, layer in layers.items():
            kernel = kernel_variable(base_layer_of(layer))
            inside, in_any = f"(.*/)?{name}/", f"(.*/)?{any_name}/"
            if slot in family.slots:
                # A slice adds a multiple of the base's width, so what divides
                # one divides the other.
                rest = f"(.*/)?{re.escape(layer.name)}/(.*/)?kernel"
                roles: Roles = DOWN if slot == family.down else UP
            elif isinstance(layer, (Dense, EinsumDense)):
                _, found_block, rest = kernel.path.rpartition(f"{block.name}/")
                rest = re.escape(rest)
                if not found_block:
                    # SmolLM 3 builds one of its layers outside any block's
                    # name.
                    inside = in_any = ""
                roles = _roles(layer, slot == family.attention[-1])
            else:
                continue
            group = found.setdefault(f"{in_any}{rest}", {})
            group[f"{inside}{rest}"] = (kernel, roles)
    return found


def _roles(layer: Any, out: bool) -> Roles:
    """How a projection of attention is split: by heads or hidden dimension."""
    equation = getattr(layer, "equation", "ab,bc->ac")
    inputs, kernel, _ = re.split(",|->", equation)
    summed = [letter for letter in kernel if letter in inputs]
    kept = [letter for letter in kernel if letter not in inputs]
    heads, hidden = (summed, kept) if out else (kept, summed)
    roles = {heads[0]: "model", hidden[0]: "batch"}
    return tuple(roles.get(letter) for letter in kernel)

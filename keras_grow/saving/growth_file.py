"""Growth files: the new slices of a model in one safetensors file."""

import os
from pathlib import Path
from typing import Any

import keras

from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import show
from keras_grow.growth import surgery
from keras_grow.growth.apply import slice_names
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.fits import check_fits
from keras_grow.growth.grown import add_growth
from keras_grow.growth.grown import check_grown
from keras_grow.growth.grown import check_only_mlps
from keras_grow.growth.grown import check_switched_on
from keras_grow.growth.grown import grown_mlps
from keras_grow.growth.grown import growths_of
from keras_grow.growth.grown import newest_slices
from keras_grow.growth.lora import enable
from keras_grow.growth.lora import lora_layers
from keras_grow.growth.lora import lora_ranks
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.fingerprint import stored_array
from keras_grow.saving.schema import GrowthFile
from keras_grow.saving.schema import check_zeros
from keras_grow.saving.schema import read_growth_file
from keras_grow.saving.tensors import save_tensors


def save_growth(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Save what a model has grown: slices, LoRA kernels beside them, config.

    The file holds no weight of the base, but a fingerprint of all of them, so
    that `load_growth` can tell whether it is given the right one. It is
    written under another name and renamed at the end: a save that is
    interrupted leaves an older file as it was.

    Args:
        model: a grown KerasHub task or backbone.
        path: the file to write, customarily `*.grow.safetensors`.

    Raises:
        ValueError: if the model is not grown, or inside `growth_disabled`, or
            if there can be no such file, or if slices that start as zeros,
            and so stay, hold other weights.
        OSError: if the disk is full.

    Example:

    ```python
    keras_grow.save_growth(lm, "french.grow.safetensors")
    ```
    """
    path = Path(path)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ValueError(
            "Expected a path that can be written. Received: "
            f"path={os.fspath(path)!r}, which is a folder, or whose folder "
            "is not there or may not be written. Choose another, or make it."
        )
    backbone = check_grown(model)
    check_only_mlps(backbone)
    check_switched_on(backbone)
    variables = {**_slices(backbone), **_lora(backbone)}
    file = GrowthFile(
        family_of(backbone).backbone_cls.__name__,
        growths_of(backbone),
        lora_ranks(backbone),
        base_fingerprint(backbone),
        {key: stored_array(variable) for key, variable in variables.items()},
    )
    check_zeros(file)
    save_tensors(file.tensors, path, file.metadata)


def load_growth(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    check_base: bool = True,
    allow_non_finite: bool = False,
) -> keras.Model:
    """Grow a base model as a saved growth says, with the weights it learnt.

    The file may have been saved under another backend. Everything is checked
    before the model is touched.

    Args:
        model: the KerasHub task or backbone that the growth was made on, not
            grown. It is changed in place.
        path: a file that `save_growth` wrote.
        check_base: whether the base's weights must be those that the growth
            was trained on, bit for bit. With `False` only shapes must fit,
            which serves a base in another dtype. Defaults to `True`.
        allow_non_finite: whether the weights of the growth may be NaN or
            infinite, as those of a training that diverged. Defaults to
            `False`.

    Returns:
        `model`.

    Raises:
        ValueError: if the file is damaged, is no growth file, says what no
            growth file says, or belongs to another base, or if the model is
            grown already.
        OSError: if the file cannot be read.

    Example:

    ```python
    lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_1b")
    keras_grow.load_growth(lm, "french.grow.safetensors")
    ```
    """
    backbone = backbone_of(model)
    if growths_of(backbone):
        raise ValueError(
            "Expected a base model. Received: a model that is grown already. "
            "Call `keras_grow.remove_growth(model)` first."
        )
    if lora_layers(backbone):
        raise ValueError(
            "Expected a base model without LoRA; a growth file brings its own. "
            f"Received: `{lora_layers(backbone)[0].path}` under LoRA. Load the "
            "base anew."
        )
    file = read_growth_file(path, allow_non_finite=allow_non_finite)
    family = family_of(backbone).backbone_cls.__name__
    with in_file(path):
        if file.family != family:
            raise ValueError(
                f"Expected a growth of a {family}. Received: a growth of a "
                f"{show(file.family)}"
            )
        growths = check_fits(backbone, file.growths, file.lora)
        _check_tensors(backbone, file)
        if check_base and base_fingerprint(backbone) != file.base:
            raise ValueError(
                "Expected the base model that the growth was trained on. "
                "Received: a growth whose base has other weights. Load the "
                "same checkpoint in the same dtype, or pass "
                "`check_base=False` if you know that it fits."
            )
    surgery.check_resettable(model)
    for growth in growths:
        add_growth(backbone, growth)
    enable(backbone, file.lora)
    surgery.train_only(backbone, newest_slices(backbone))
    for key, variable in {**_slices(backbone), **_lora(backbone)}.items():
        variable.assign(file.tensors[key])
    surgery.reset_compiled(model)
    return model


def _slices(backbone: keras.Model) -> dict[str, Any]:
    """Every variable of every slice, by block index and slot."""
    return {
        f"blocks.{index}.{slot}.{new.name}.{weight.name}": weight
        for index, mlp in grown_mlps(backbone).items()
        for slot, layer in mlp.items()
        for new in layer.slices
        for weight in new.weights
    }


def _lora(backbone: keras.Model) -> dict[str, Any]:
    """Every LoRA kernel, by the path of its layer."""
    return {
        f"lora.{layer.path}.{weight.name}": weight
        for layer in lora_layers(backbone)
        for weight in (layer.lora_kernel_a, layer.lora_kernel_b)
    }


def _check_tensors(backbone: keras.Model, file: GrowthFile) -> None:
    """Refuse a file whose tensors are not those that `backbone` needs."""
    expected: dict[str, tuple[int, ...]] = {}
    for number, growth in enumerate(file.growths, 1):
        expected.update(_expected_slices(backbone, growth, number))
    expected.update(_expected_lora(backbone, file.lora))
    found = {key: tensor.shape for key, tensor in file.tensors.items()}
    if found != expected:
        wrong = sorted(
            key
            for key in found.keys() | expected.keys()
            if found.get(key) != expected.get(key)
        )
        key = wrong[0]
        raise ValueError(
            "Expected a growth of a base of these sizes. Received: "
            f"{len(wrong)} tensors that do not fit: {show(key)} has shape "
            f"{found.get(key, 'missing')}, expected "
            f"{expected.get(key, 'none')}"
        )


def _expected_slices(
    backbone: keras.Model, growth: GrowthConfig, number: int
) -> dict[str, tuple[int, ...]]:
    """Shapes of the slices that `growth` adds to `backbone`."""
    family = family_of(backbone)
    whole = growth.strategy == "g_train"
    copies = 1 if whole else growth.factor - 1
    shapes: dict[str, tuple[int, ...]] = {}
    for index in growth.layers:
        layers = family.mlp_of(family.blocks_of(backbone)[index])
        for slot, layer in zip(family.slots, layers, strict=True):
            rows, columns = layer.kernel.shape
            for name in slice_names(growth, number):
                key = f"blocks.{index}.{slot}.{name}"
                if slot != family.down:
                    shapes[f"{key}.kernel"] = (rows, copies * columns)
                    if layer.bias is not None:
                        shapes[f"{key}.bias"] = (copies * columns,)
                elif not whole:
                    shapes[f"{key}.kernel"] = (copies * rows, columns)
    return shapes


def _expected_lora(
    backbone: keras.Model, ranks: dict[str, dict[str, float]]
) -> dict[str, tuple[Any, ...]]:
    """Shapes of the LoRA kernels that `ranks` speaks of."""
    layers = {layer.path: layer for layer in backbone._flatten_layers()}
    shapes: dict[str, tuple[Any, ...]] = {}
    for path, entry in ranks.items():
        *rows, columns = layers[path].kernel.shape
        shapes[f"lora.{path}.lora_kernel_a"] = (*rows, entry["rank"])
        shapes[f"lora.{path}.lora_kernel_b"] = (entry["rank"], columns)
    return shapes

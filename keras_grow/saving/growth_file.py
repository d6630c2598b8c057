"""Growth files: the new slices of a model in one safetensors file."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors import safe_open

from keras_grow.files import save_tensors
from keras_grow.growth import surgery
from keras_grow.growth.apply import slice_names
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers
from keras_grow.growth.families import backbone_of
from keras_grow.growth.families import family_of
from keras_grow.growth.grown import add_growth
from keras_grow.growth.grown import check_grown
from keras_grow.growth.grown import check_only_mlps
from keras_grow.growth.grown import check_switched_on
from keras_grow.growth.grown import grown_mlps
from keras_grow.growth.grown import growths_of
from keras_grow.growth.grown import newest_slices
from keras_grow.growth.grown import with_fitting_dtype
from keras_grow.growth.lora import enable
from keras_grow.growth.lora import lora_layers
from keras_grow.growth.lora import lora_ranks
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.fingerprint import stored_array

FORMAT = "keras_grow.growth"
VERSION = "1"


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
            if there can be no such file.
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
    tensors = {
        key: stored_array(variable)
        for key, variable in {**_slices(backbone), **_lora(backbone)}.items()
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "family": family_of(backbone).backbone_cls.__name__,
        "growths": json.dumps([g.to_dict() for g in growths_of(backbone)]),
        "lora": json.dumps(lora_ranks(backbone)),
        "base": base_fingerprint(backbone),
    }
    metadata["checksum"] = _checksum(tensors, metadata)
    save_tensors(tensors, path, metadata)


def load_growth(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    check_base: bool = True,
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

    Returns:
        `model`.

    Raises:
        ValueError: if the file is damaged, is no growth file, or belongs to
            another base, or if the model is grown already.
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
    tensors, metadata = _read(Path(path))
    growths = _check(backbone, path, tensors, metadata)
    if check_base and base_fingerprint(backbone) != metadata["base"]:
        raise ValueError(
            "Expected the base model that the growth was trained on. "
            f"Received: path={os.fspath(path)!r}, whose base has other "
            "weights. Load the same checkpoint in the same dtype, or pass "
            "`check_base=False` if you know that it fits."
        )
    surgery.check_resettable(model)
    for growth in growths:
        add_growth(backbone, growth)
    enable(backbone, json.loads(metadata["lora"]))
    surgery.train_only(backbone, newest_slices(backbone))
    for key, variable in {**_slices(backbone), **_lora(backbone)}.items():
        variable.assign(tensors[key])
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


def _checksum(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> str:
    """SHA-256 of all that a growth file says."""
    rest = {k: v for k, v in metadata.items() if k != "checksum"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for key in sorted(tensors):
        array = np.ascontiguousarray(tensors[key])
        digest.update(f"{key} {array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a growth file that is whole."""
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected a growth file. Received: path={os.fspath(path)!r}, "
            "which does not exist or is no file."
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            "Expected a safetensors file that `save_growth` wrote. Received: "
            f"path={os.fspath(path)!r}, which is damaged or of another kind "
            f"({error}). Save the growth again, or copy the file again."
        ) from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            "Expected a file that `keras_grow.save_growth` wrote. Received: "
            f"path={os.fspath(path)!r}, a safetensors file of something else."
        )
    if metadata.get("version") != VERSION:
        raise ValueError(
            f"Expected a growth file of version {VERSION}. Received: version "
            f"{metadata.get('version')!r}. Install the keras_grow that wrote "
            "it."
        )
    if metadata.get("checksum") != _checksum(tensors, metadata):
        raise ValueError(
            "Expected a growth file as it was saved. Received: "
            f"path={os.fspath(path)!r}, whose contents do not match their "
            "checksum. Copy the file again from where it was saved."
        )
    return tensors, metadata


def _check(
    backbone: keras.Model,
    path: str | os.PathLike[str],
    tensors: dict[str, np.ndarray],
    metadata: dict[str, str],
) -> list[GrowthConfig]:
    """The growths of a file whose slices fit `backbone`."""
    family = family_of(backbone)
    if metadata["family"] != family.backbone_cls.__name__:
        raise ValueError(
            f"Expected a growth of a {family.backbone_cls.__name__}. "
            f"Received: path={os.fspath(path)!r}, a growth of a "
            f"{metadata['family']}"
        )
    growths = [
        with_fitting_dtype(backbone, GrowthConfig.from_dict(values))
        for values in json.loads(metadata["growths"])
    ]
    expected: dict[str, tuple[int, ...]] = {}
    for number, growth in enumerate(growths, 1):
        resolve_layers(growth.layers, len(family.blocks_of(backbone)))
        expected.update(_expected_slices(backbone, growth, number))
    expected.update(_expected_lora(backbone, json.loads(metadata["lora"])))
    found = {key: tensor.shape for key, tensor in tensors.items()}
    if found != expected:
        wrong = sorted(
            key
            for key in found.keys() | expected.keys()
            if found.get(key) != expected.get(key)
        )
        key = wrong[0]
        raise ValueError(
            "Expected a growth of a base of these sizes. Received: "
            f"path={os.fspath(path)!r}, {len(wrong)} of whose tensors do not "
            f"fit: `{key}` has shape {found.get(key, 'missing')}, expected "
            f"{expected.get(key, 'none')}"
        )
    return growths


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
    backbone: keras.Model, ranks: dict[str, Any]
) -> dict[str, tuple[int, ...]]:
    """Shapes of the LoRA kernels that `ranks` speaks of."""
    layers = {layer.path: layer for layer in backbone._flatten_layers()}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, values in ranks.items():
        kernel = getattr(layers.get(name), "kernel", None)
        shape = getattr(kernel, "shape", ())
        key, rank = f"lora.{name}.lora_kernel", values["rank"]
        shapes[f"{key}_a"] = (*shape[:-1], rank)
        shapes[f"{key}_b"] = (rank, *shape[-1:])
    return shapes

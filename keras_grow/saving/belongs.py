"""Whether a growth file belongs to a model as it is."""

import dataclasses
from typing import Any

from keras_grow.files.checked_json import show
from keras_grow.growth.lora import layers_by_path
from keras_grow.growth.state import ModelState
from keras_grow.layers.expand import slice_specs
from keras_grow.saving.fingerprint import growth_fingerprint
from keras_grow.saving.schema import GrowthFile


def with_names_here(state: ModelState, file: GrowthFile) -> GrowthFile:
    """The file, with the names that growths beneath it have in the model.

    A growth may have been loaded under another name than the one it had where
    the file was saved; its slices are the same.
    """
    own = [growth.name for growth in file.growths]
    others = [name for name in state.names if name not in own]
    names, beneath = {}, {}
    for under, wanted in file.beneath.items():
        # Of two that are alike, the one that has the name.
        for name in sorted(others, key=lambda other: other != under):
            if growth_fingerprint(state, name, under) == wanted:
                names[under] = name
                break
        here = names.get(under)
        beneath[here or under] = (
            growth_fingerprint(state, here) if here else wanted
        )
    growths = tuple(
        dataclasses.replace(
            growth,
            beneath=tuple((names.get(n, n), s) for n, s in growth.beneath),
        )
        for growth in file.growths
    )
    return dataclasses.replace(file, growths=growths, beneath=beneath)


def check_belongs(state: ModelState, file: GrowthFile) -> None:
    """Refuse a file for another family, or in conflict with other growths."""
    family = state.family.backbone_cls.__name__
    if file.family != family:
        raise ValueError(
            f"Expected a growth of a {family}. Received: a growth of a "
            f"{show(file.family)}"
        )
    taken = [g.name for g in file.growths if g.name in state.names]
    if taken:
        raise ValueError(
            "Expected names that no growth of the model has. Received: "
            f"{taken}. Pass another `name`, or remove the old growth first."
        )
    if file.lora and state.growths:
        raise ValueError(
            "Expected a base model for a growth with LoRA beside it: that "
            "LoRA would change other growths, too. Received: a model with the "
            f"growths {state.names}"
        )
    scales = state.scales if state.growths else {}
    for growth in file.growths:
        for under, scale in growth.beneath:
            if under not in file.beneath:
                continue
            there = scales.get(under)
            if (
                there is None
                or growth_fingerprint(state, under) != file.beneath[under]
            ):
                raise ValueError(
                    f"Expected a model with the growth {under!r} that "
                    f"{growth.name!r} was trained on. Received: a model with "
                    f"{state.names}, none of which is that one. Load it first."
                )
            if there != scale:
                raise ValueError(
                    f"Expected the growth {under!r} at the scale {scale} that "
                    f"{growth.name!r} was trained on. Received: scale {there}. "
                    "Call `keras_grow.set_growths` first; the dial is free "
                    "again afterwards."
                )


def check_lora_alone(file: GrowthFile) -> None:
    """Refuse a file that could not be loaded: LoRA belongs to a bare base."""
    if file.lora and file.beneath:
        raise ValueError(
            "Expected all growths in one file where LoRA is beside them: it "
            f"would change {sorted(file.beneath)}, which "
            f"{[g.name for g in file.growths]} lies on. Received: a model with "
            "LoRA and the name of one growth. Save with `name=None`, or the "
            "model whole with `model.save`."
        )


def check_tensors(state: ModelState, file: GrowthFile) -> None:
    """Refuse a file whose tensors are not those that the model needs."""
    expected: dict[str, tuple[Any, ...]] = {}
    for growth in file.growths:
        for index in growth.layers:
            mlp = state.family.mlp_of(state.blocks[index])
            for slot, layer in zip(state.family.slots, mlp, strict=True):
                base = getattr(layer, "base", layer)
                specs = slice_specs(
                    growth.name,
                    growth.factor,
                    growth.strategy,
                    "input" if slot == state.family.down else "output",
                    base.kernel.shape,
                    base.bias is not None,
                )
                for key, shape in specs.items():
                    expected[f"blocks.{index}.{slot}/{key}"] = shape
    layers = layers_by_path(state.backbone)
    for path, entry in file.lora.items():
        *rows, columns = layers[path].kernel.shape
        expected[f"lora.{path}.lora_kernel_a"] = (*rows, entry["rank"])
        expected[f"lora.{path}.lora_kernel_b"] = (entry["rank"], columns)
    found = {key: tensor.shape for key, tensor in file.tensors.items()}
    wrong = sorted(
        key
        for key in found.keys() | expected.keys()
        if found.get(key) != expected.get(key)
    )
    if wrong:
        key = wrong[0]
        raise ValueError(
            "Expected a growth for a base of this size. Received: "
            f"{len(wrong)} tensors that do not fit: {show(key)} has shape "
            f"{found.get(key, 'missing')}, expected "
            f"{expected.get(key, 'none')}"
        )

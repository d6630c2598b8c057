"""Growth files: the new slices of a model in one safetensors file."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import keras

from keras_grow.distribution.processes import any_process
from keras_grow.distribution.processes import one_writer
from keras_grow.files import save_tensors
from keras_grow.files.checked_json import in_file
from keras_grow.growth import lora
from keras_grow.growth.classes import add_growth
from keras_grow.growth.classes import become_grown_task
from keras_grow.growth.classes import train_growth
from keras_grow.growth.compiled import check_resettable
from keras_grow.growth.compiled import reset_compiled
from keras_grow.growth.config import check_name
from keras_grow.growth.fits import check_fits
from keras_grow.growth.fits import check_saved
from keras_grow.growth.in_fit import check_not_in_fit
from keras_grow.growth.in_fit import check_readable
from keras_grow.growth.lora import layers_by_path
from keras_grow.growth.lora import lora_layers
from keras_grow.growth.lora import lora_ranks
from keras_grow.growth.lora import lora_variables
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import check_only_mlps
from keras_grow.growth.state import grown_state
from keras_grow.growth.stored import missing_beneath
from keras_grow.growth.switch import check_switched_on
from keras_grow.growth.trainable import TrainableFlags
from keras_grow.growth.undo import remember
from keras_grow.growth.undo import undone_on_errors
from keras_grow.saving.belongs import check_belongs
from keras_grow.saving.belongs import check_lora_alone
from keras_grow.saving.belongs import check_tensors
from keras_grow.saving.belongs import with_names_here
from keras_grow.saving.fingerprint import growth_fingerprint
from keras_grow.saving.fingerprint import slice_variables
from keras_grow.saving.fingerprint import state_fingerprint
from keras_grow.saving.fingerprint import stored_array
from keras_grow.saving.reading import read_growth_file
from keras_grow.saving.schema import GrowthFile
from keras_grow.saving.schema import check_zeros


def save_growth(
    model: keras.Model,
    path: str | os.PathLike[str],
    name: str | None = None,
) -> None:
    """Save what a model has grown: slices, LoRA kernels beside them, config.

    The file holds no weight of the base, but a fingerprint of all of them, so
    that `load_growth` can tell whether it is given the right base. It is
    written under a temporary name and renamed at the end: an interrupted save
    leaves an older file as it was. Where several processes hold the model, all
    of them must call this, and the first one writes.

    Args:
        model: a grown KerasHub task or backbone.
        path: the file to write, customarily `*.grow.safetensors`.
        name: the growth to save. If it was trained on top of others, the file
            records which and at which scales, and loads only onto them.
            Defaults to `None`, which saves all growths.

    Raises:
        ValueError: if the model is not grown or inside `growth_disabled`, has
            no such growth, or the path cannot be written; if a weight of the
            base, or of a head of the task, trains, which no growth file holds;
            if the file would not load again, as that of one growth of several
            with LoRA beside them; or if slices made with `init="zeros"`, which
            cannot train, are not zero.
        OSError: if the disk is full.

    Example:

    ```python
    keras_grow.save_growth(lm, "french.grow.safetensors")
    ```
    """
    path = Path(path)
    with one_writer() as writes:
        refused = path.is_dir() or not os.access(path.parent, os.W_OK)
    if any_process(writes and refused):
        raise ValueError(
            "Expected a path that can be written. Received: "
            f"path={os.fspath(path)!r}, which is a folder, or whose folder "
            "is missing or not writable. Choose another, or create the folder."
        )
    state = grown_state(model)
    backbone = state.backbone
    check_readable(backbone, "save_growth")
    check_only_mlps(backbone)
    check_switched_on(backbone)
    _check_base_frozen(state)
    names = state.names if name is None else [state.check_name(name)]
    growths = tuple(g for g in state.growths if g.name in names)
    check_saved(state, growths, lora_ranks(backbone))
    variables = _variables(state, names)
    file = GrowthFile(
        state.family.backbone_cls.__name__,
        growths,
        {key: scale for key, scale in state.scales.items() if key in names},
        {
            under: growth_fingerprint(state, under)
            for under in missing_beneath(growths)
        },
        lora_ranks(backbone),
        state_fingerprint(state),
        {key: stored_array(variable) for key, variable in variables.items()},
    )
    check_zeros(file)
    check_lora_alone(file)
    with one_writer() as writes:
        if writes:
            save_tensors(file.tensors, path, file.metadata)


def load_growth(
    model: keras.Model,
    path: str | os.PathLike[str],
    name: str | None = None,
    *,
    check_base: bool = True,
    allow_non_finite: bool = False,
) -> keras.Model:
    """Grow a model from a growth file, with the weights that it holds.

    The model is the base that the growth was made on, or that base with other
    growths: the new one is added to them, and `set_growths` chooses. The file
    may have been saved under another backend, or by many processes; each
    process that holds the model reads it. Everything is checked before the
    model is touched.

    Args:
        model: a KerasHub task or backbone. It is changed in place.
        path: a file that `save_growth` wrote.
        name: what to call the growth here. Defaults to `None`, the name that
            it was saved under. Needs a file of one growth. Growths that were
            trained on top of it find it under any name.
        check_base: whether the base's weights must be those that the growth
            was trained on, bit for bit. With `False` only shapes must fit,
            which serves a base in another dtype. Defaults to `True`.
        allow_non_finite: whether the weights of the growth may be NaN or
            infinite, as after a training that diverged. Defaults to `False`.

    Returns:
        `model`, with the growth at the scale at which it was saved. The
        growth loaded last is the one that trains.

    Raises:
        ValueError: if the file is damaged, is not a growth file, has contents
            that are not valid, or belongs to another base; if the model has a
            growth of that name, lacks one that the growth was trained on, or is
            under LoRA. The model is as it was.
        OSError: if the file cannot be read.

    Example:

    ```python
    lm = keras_hub.models.Gemma3CausalLM.from_preset("gemma3_1b")
    keras_grow.load_growth(lm, "french.grow.safetensors")
    keras_grow.load_growth(lm, "science.grow.safetensors")
    keras_grow.set_growths(lm, {"french": 1.0, "science": 0.5})
    ```
    """
    state = ModelState.of(model)
    backbone = state.backbone
    check_not_in_fit(model, "load_growth")
    check_only_mlps(backbone)
    check_switched_on(backbone)
    if lora_layers(backbone):
        raise ValueError(
            "Expected a base model without LoRA; a growth file brings its own. "
            f"Received: `{lora_layers(backbone)[0].path}` under LoRA. Load the "
            "base again."
        )
    file = read_growth_file(path, allow_non_finite=allow_non_finite)
    with in_file(path):
        file = with_names_here(state, _renamed(file, name))
        check_belongs(state, file)
        growths = check_fits(state, file.growths, file.lora)
        check_tensors(state, file)
        if check_base and state_fingerprint(state) != file.base:
            raise ValueError(
                "Expected the base model that the growth was trained on. "
                "Received: a growth whose base has other weights. Load the "
                "same checkpoint in the same dtype, or pass "
                "`check_base=False` if you know that it fits."
            )
    check_resettable(model)
    before = TrainableFlags(backbone)
    scales = {**(state.scales if state.growths else {}), **file.scales}
    with undone_on_errors(state):
        for growth in growths:
            add_growth(state, growth, stored=True)
        remember(backbone, before)
        lora.enable(backbone, file.lora)
        become_grown_task(model)
        train_growth(state)
        names = [growth.name for growth in growths]
        for key, variable in _variables(state, names).items():
            variable.assign(file.tensors[key])
        state.set_scales(scales)
        reset_compiled(model)
    return model


def _variables(state: ModelState, names: list[str]) -> dict[str, Any]:
    """Slices of growths and LoRA kernels, as a growth file names them."""
    variables: dict[str, Any] = {}
    for name in names:
        variables.update(slice_variables(state, name))
    for path, layer in layers_by_path(state.backbone).items():
        if getattr(layer, "lora_enabled", False):
            for weight in (layer.lora_kernel_a, layer.lora_kernel_b):
                variables[f"lora.{path}.{weight.name}"] = weight
    return variables


def _check_base_frozen(state: ModelState) -> None:
    """Refuse a model of which more trains than a growth file holds."""
    held = [w for layer in state.slices() for w in layer.weights]
    held += lora_variables(state.backbone)
    ids = {id(weight) for weight in held}
    trained = [
        w.path for w in state.model.trainable_weights if id(w) not in ids
    ]
    if trained:
        raise ValueError(
            "Expected a base, and a head, whose weights are all frozen: a "
            f"growth file does not hold them. Received: {len(trained)} that "
            f"train, such as {trained[:3]}. Save the model whole, with "
            "`model.save` or `model.save_to_preset`, or freeze the layers "
            "before training."
        )


def _renamed(file: GrowthFile, name: str | None) -> GrowthFile:
    """The contents of a file of one growth under another name."""
    if name is None or [growth.name for growth in file.growths] == [name]:
        return file
    check_name(name)
    if len(file.growths) > 1:
        raise ValueError(
            "Expected `name=None` for a file of several growths. Received: "
            f"name={name!r}, growths={[g.name for g in file.growths]}"
        )
    (growth,) = file.growths
    old, new = f"/{growth.name}/", f"/{name}/"
    return dataclasses.replace(
        file,
        growths=(dataclasses.replace(growth, name=name),),
        scales={name: file.scales[growth.name]},
        tensors={
            key if key.startswith("lora.") else key.replace(old, new, 1): value
            for key, value in file.tensors.items()
        },
    )

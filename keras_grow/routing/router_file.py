"""Router files: what a router learned, in safetensors with JSON beside it."""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from keras_grow.files import open_tensors
from keras_grow.files import save_tensors
from keras_grow.files.checked_json import check_choice
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import parse_json
from keras_grow.growth.config import check_name
from keras_grow.growth.config import check_scale
from keras_grow.routing.judge import HeldOut
from keras_grow.routing.judge import Judge
from keras_grow.routing.logistic import Logistic
from keras_grow.saving.schema import checksum

FORMAT = "keras_grow.router"
VERSION = "1"
_FIELDS = ("format", "version", "router", "base", "checksum")


@dataclasses.dataclass(frozen=True)
class RouterFile:
    """The contents of a fitted router, and of its file.

    `classes` are the names of the growths, then `"none"`. `base` is the
    fingerprint of the base, empty until it is written.
    """

    judge: Judge
    held_out: HeldOut
    classes: tuple[str, ...]
    scales: dict[str, float]
    features: str
    block: int | None
    base: str


def write_router_file(
    path: str | os.PathLike[str], router: RouterFile, base: str
) -> None:
    """Write a router, whole or not at all."""
    judge = router.judge
    tensors = {
        "mean": judge.mean,
        "spread": judge.spread,
        "weights": judge.logistic.weights,
        "bias": judge.logistic.bias,
        "middles": judge.middles,
        "reaches": judge.reaches,
    }
    tensors = {n: np.ascontiguousarray(t) for n, t in tensors.items()}
    said = {
        "classes": list(router.classes),
        "scales": router.scales,
        "features": router.features,
        "block": router.block,
        "held_out": dataclasses.asdict(router.held_out),
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "router": json.dumps(said),
        "base": base,
    }
    metadata["checksum"] = checksum(tensors, metadata)
    save_tensors(tensors, path, metadata)


def read_router_file(path: str | os.PathLike[str]) -> RouterFile:
    """Read a router, whatever the file holds."""
    with open_tensors(path, "a router file", "`GrowthRouter.save`") as file:
        metadata = file.metadata() or {}
        tensors = {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
        if metadata.get("format") != FORMAT:
            raise ValueError(
                "Expected a file that `GrowthRouter.save` wrote. Received: a "
                "safetensors file of something else."
            )
        check_fields(metadata, "a router file", _FIELDS)
        check_choice(metadata["version"], "version", (VERSION,))
        if metadata["checksum"] != checksum(tensors, metadata):
            raise ValueError(
                "Expected a router file as it was saved. Received: contents "
                "that do not match their checksum. Copy the file again from "
                "where it was saved."
            )
        return _parsed(metadata, tensors)


def _parsed(metadata: dict[str, str], tensors: dict[str, Any]) -> RouterFile:
    said = parse_json(metadata["router"], "`router`")
    fields = ("classes", "scales", "features", "block", "held_out")
    check_fields(said, "`router`", fields)
    classes = tuple(
        check_name(name)
        for name in check_list(said["classes"], "classes", 1 << 12, 2)
    )
    skills = classes[:-1]
    if len(set(classes)) < len(classes) or classes[-1] != "none":
        raise ValueError(
            "Expected `classes` to be different names and `none` last. "
            f"Received: classes={classes}"
        )
    check_fields(said["scales"], "`scales`", skills)
    choices = ("embeddings", "hidden")
    features = check_choice(said["features"], "features", choices)
    block = said["block"]
    if features == "hidden":
        block = check_int(block, "block", 0, 1 << 16)
    _check_shapes(tensors, len(skills))
    held_out = _held_out(said["held_out"], len(skills))
    judge = Judge(
        tensors["mean"],
        tensors["spread"],
        Logistic(tensors["weights"], tensors["bias"]),
        tensors["middles"],
        tensors["reaches"],
        held_out.threshold,
    )
    return RouterFile(
        judge,
        held_out,
        classes,
        {n: check_scale(said["scales"][n], f"scale of {n}") for n in skills},
        features,
        block if features == "hidden" else None,
        check_text(metadata["base"], "base", 64),
    )


def _held_out(values: Any, skills: int) -> HeldOut:
    names = [field.name for field in dataclasses.fields(HeldOut)]
    check_fields(values, "`held_out`", names)
    reached = check_list(values["reached"], "reached", skills, skills)
    return HeldOut(
        check_float(values["threshold"], "threshold", 0.0),
        check_float(values["false_alarm"], "false_alarm", 0.0),
        check_float(values["false_alarms"], "false_alarms", 0.0),
        tuple(check_float(value, "reached", 0.0) for value in reached),
    )


def _check_shapes(tensors: dict[str, Any], skills: int) -> None:
    """Refuse arrays that do not match, or are not finite float64."""
    mean = tensors.get("mean", np.zeros(0))
    width = mean.shape[0] if mean.ndim == 1 else 0
    wanted: dict[str, tuple[int, ...]] = {
        "mean": (width,),
        "spread": (width,),
        "weights": (width, skills + 1),
        "bias": (skills + 1,),
        "middles": (skills, width),
        "reaches": (skills,),
    }
    found = {name: tensor.shape for name, tensor in tensors.items()}
    good = all(
        tensor.dtype == np.float64 and np.isfinite(tensor).all()
        for tensor in tensors.values()
    )
    if found != wanted or not width or not good:
        raise ValueError(
            f"Expected finite float64 arrays of the shapes {wanted}. "
            f"Received: {found}, or values that are not finite float64."
        )

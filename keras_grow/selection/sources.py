"""The kernels of a model's blocks, from memory or disk, one at a time."""

import glob
import os
import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.files import atomic_path
from keras_grow.growth import families
from keras_grow.growth.families import Family
from keras_grow.layers.growable_dense import GrowableDense
from keras_grow.selection.checkpoints import from_bfloat16
from keras_grow.selection.checkpoints import open_h5
from keras_grow.selection.checkpoints import readable
from keras_grow.selection.checkpoints import shards_of
from keras_grow.selection.kernels import Kernels
from keras_grow.selection.kernels import slots_of

_DEEPEST = 3  # names in the path of a slot
_SAVED = r"block_(\d+)\.(.+)\.npy"

# Sources of kernels: a model, a path, or kernels that were found already.
Source: TypeAlias = keras.Model | str | os.PathLike[str] | Kernels


def open_kernels(source: Source) -> Kernels:
    """Find the kernels of a model, a checkpoint or a snapshot.

    Args:
        source: a KerasHub task or backbone, or the path of a `.weights.h5` or
            `.keras` file, of the `.json` index of a sharded checkpoint, of a
            KerasHub preset folder, or of a folder made by `save_kernels`.

    Returns:
        `Kernels`. On disk, only names have been read.

    Raises:
        ValueError: if the path holds no transformer block of a known family, or
            a grown one.
        TypeError: if `source` is neither a model nor a path.
    """
    if isinstance(source, Kernels):
        return source
    if not isinstance(source, (str, os.PathLike)):
        return _of_model(source)
    path = os.fspath(source)
    if os.path.isdir(path):
        if glob.glob(os.path.join(glob.escape(path), "block_*.npy")):
            return _of_snapshot(path)
        for name in ("model.weights.h5", "model.weights.json"):
            if os.path.exists(os.path.join(path, name)):
                return _of_files(shards_of(os.path.join(path, name)), path)
        raise ValueError(
            "Expected a folder with `model.weights.h5` (a KerasHub preset) or "
            f"a snapshot of kernels. Received: {path!r}"
        )
    if not os.path.exists(path):
        raise FileNotFoundError(f"Expected a checkpoint. Received: {path!r}")
    if not path.endswith((".weights.h5", ".keras", ".json")):
        raise ValueError(
            "Expected a `.weights.h5` or `.keras` file, the `.json` index of "
            f"a sharded checkpoint or a preset folder. Received: {path!r}"
        )
    return _of_files(shards_of(path), path)


def save_kernels(
    source: Source,
    folder: str | os.PathLike[str],
    over: str | Sequence[str] = "mlp",
) -> None:
    """Write kernels to a folder of `.npy` files in float32, one at a time.

    Args:
        source: a KerasHub task or backbone, or a path, as in
            `keras_grow.rank_layers`.
        folder: path of the folder to make. It is visible only when complete.
        over: which kernels, as in `keras_grow.rank_layers`. Defaults to
            `"mlp"`.

    Raises:
        FileExistsError: if `folder` exists.
    """
    kernels = open_kernels(source)
    folder = os.path.abspath(folder)
    if os.path.exists(folder):
        raise FileExistsError(
            f"Expected a folder that does not exist yet. Received: {folder!r}"
        )
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with atomic_path(folder) as part:
        part.mkdir()
        for block in range(kernels.num_blocks):
            for slot in slots_of(kernels.family, over):
                np.save(
                    part / f"block_{block:03d}.{slot}.npy",
                    kernels.read(block, slot).astype("float32"),
                )


def read_all(source: Source, over: str | Sequence[str]) -> None:
    """Read every kernel once: one that cannot be read raises its error."""
    kernels = open_kernels(source)
    for block in range(kernels.num_blocks):
        for slot in slots_of(kernels.family, over):
            kernels.read(block, slot)


def _of_model(model: Any) -> Kernels:
    backbone = families.backbone_of(model)
    family = families.family_of(backbone)
    blocks = family.blocks_of(backbone)

    def read(block: int, slot: str) -> NDArray[Any]:
        try:
            layer = attrgetter(slot)(blocks[block])
        except AttributeError as error:
            raise ValueError(
                "Expected the name of a dense layer of a block. "
                f"Received: {slot!r}, which {blocks[block]} lacks"
            ) from error
        kernel = getattr(layer, "kernel", None)
        grown = isinstance(layer, GrowableDense)
        if (
            grown
            or kernel is None
            or not keras.backend.is_float_dtype(kernel.dtype)
        ):
            raise _not_plain(f"`{slot}` of block {block}", str(layer))
        return np.asarray(ops.convert_to_numpy(ops.cast(kernel, "float32")))

    return Kernels(len(blocks), family, read, backbone.name)


def _not_plain(place: str, received: str) -> ValueError:
    return ValueError(
        f"Expected a plain dense layer with a float kernel at {place}. "
        f"Received: {received}. Rank a model that is neither grown nor "
        "quantized; `merge_growth` makes a plain model of a grown one."
    )


def _of_snapshot(folder: str) -> Kernels:
    found = [re.fullmatch(_SAVED, name) for name in os.listdir(folder)]
    blocks = {int(match[1]) for match in found if match}
    slots = {match[2] for match in found if match}
    rows = [
        row
        for row in families.FAMILIES.values()
        if slots & {*row.slots, *row.attention}
    ]
    family = _likeliest(rows, slots, folder)

    def read(block: int, slot: str) -> NDArray[Any]:
        path = os.path.join(folder, f"block_{block:03d}.{slot}.npy")
        if not os.path.exists(path):
            raise ValueError(
                f"Expected `{slot}` of block {block} in the snapshot. "
                f"Received: {folder!r}, which holds {sorted(slots)}"
            )
        with readable(path):
            kernel: NDArray[Any] = np.load(path, mmap_mode="r")
        return kernel

    return Kernels(max(blocks) + 1, family, read, folder)


def _likeliest(rows: list[Family], slots: set[str], name: str) -> Family:
    """The row that fits best the slots that were found."""
    if rows:
        # The slots of some families are among those of others.
        return max(rows, key=lambda row: _likeness(row, slots))
    raise ValueError(
        "Expected the transformer blocks of a known family: "
        f"{sorted(cls.__name__ for cls in families.FAMILIES)}. "
        f"Received: {name!r}"
    )


def _likeness(family: Family, slots: set[str]) -> tuple[int, ...]:
    """How well a row fits the slots that were found, as a sort key.

    The whole MLP, then the row that says most precisely where it is, then
    attention.
    """
    mlp, attention = {*family.slots}, {*family.attention}
    depth = family.down.count(".")
    missing = len(mlp - slots)
    return len(mlp & slots), -missing, depth, len(attention & slots)


def _of_files(files: list[str], name: str) -> Kernels:
    """Index the datasets that Keras names `.../<block>/<slot>/vars/0`."""
    place: dict[str, str] = {}
    for file in files:
        with open_h5(file) as h5:
            names: list[str] = []
            # A visit follows neither soft nor external links.
            h5.visit(names.append)
            place.update(dict.fromkeys(names, file))
    grown = [key for key in place if key.endswith("/vars/growth")]
    if grown:
        raise _not_plain(f"every slot of {name!r}", f"grown {grown[0]!r}")
    found = [k.removesuffix("/vars/0") for k in place if k.endswith("/vars/0")]
    parts = [key.split("/") for key in found]
    ends = {".".join(p[-n:]) for p in parts for n in range(1, _DEEPEST + 1)}
    rows = [row for row in families.FAMILIES.values() if ends & {*row.slots}]
    family = _likeliest(rows, ends, name)
    down = f"/{family.down.replace('.', '/')}"
    blocks = sorted(
        (key.removesuffix(down) for key in found if key.endswith(down)),
        key=_position,
    )
    if [_position(key) for key in blocks] != list(range(len(blocks))):
        raise ValueError(
            "Expected one stack of transformer blocks, numbered from 0. "
            f"Received: {name!r} with {blocks}"
        )

    def read(block: int, slot: str) -> NDArray[Any]:
        path = slot.replace(".", "/")
        head, bar, last = path.rpartition("/")
        # Keras names a layer by the first of its attributes that it meets.
        names = (path, f"{head}{bar}{last.removeprefix('_')}")
        keys = [f"{blocks[block]}/{name}/vars/0" for name in names]
        key = keys[keys[0] not in place]
        if key not in place:
            raise ValueError(
                f"Expected `{slot}` in every block of the checkpoint. "
                f"Received: {name!r}, which lacks {key!r}. Rank with "
                "--over mlp, or name attributes that every block has."
            )
        with open_h5(place[key]) as h5:
            dtype, kernel = h5[key].attrs.get("dtype"), np.asarray(h5[key])
        if dtype == "bfloat16":
            return from_bfloat16(kernel)
        if kernel.dtype.kind != "f":
            raise _not_plain(f"{key!r} of {name!r}", f"{kernel.dtype}")
        return kernel

    return Kernels(len(blocks), family, read, name)


def _position(key: str) -> int:
    """Keras' numbering of equal classes: `block`, `block_1`, `block_2`."""
    match = re.search(r"_(\d+)$", key)
    return int(match[1]) if match else 0

"""A fingerprint of the base weights: which model does a growth belong to?"""

import hashlib
import re
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from keras_grow.distribution.processes import is_spread
from keras_grow.distribution.processes import row_blocks
from keras_grow.distribution.processes import whole_value
from keras_grow.growth.families import backbone_of
from keras_grow.growth.lora import lora_variables
from keras_grow.growth.lora import numbered
from keras_grow.growth.state import ModelState
from keras_grow.growth.state import growths_on
from keras_grow.keras_internals import flatten_layers
from keras_grow.layers.folded_dense import CopiedDense
from keras_grow.layers.growable_dense import GrowableDense

CHUNK = 1 << 26


def base_fingerprint(model: keras.Model) -> str:
    """Hash every weight of the base of a model, grown or not.

    Covers name, shape, dtype and every byte of every variable except slices and
    LoRA kernels, and is the same on every backend. Where several processes hold
    a weight together, all of them must call this; each receives one chunk of it
    at a time.

    Args:
        model: a KerasHub task or backbone.

    Returns:
        SHA-256, as 64 hexadecimal digits.

    Example:

    ```python
    before = base_fingerprint(lm)
    keras_grow.grow_model(lm)
    assert base_fingerprint(lm) == before
    ```
    """
    backbone = backbone_of(model)
    if growths_on(backbone):
        return state_fingerprint(ModelState.over(model, backbone))
    return _fingerprint(backbone, ())


def state_fingerprint(state: ModelState) -> str:
    """`base_fingerprint` of a model whose parts are found."""
    grown = state.grown_layers if state.growths else ()
    return _fingerprint(state.backbone, grown)


def _fingerprint(backbone: keras.Model, grown: Sequence[GrowableDense]) -> str:
    """Hash every weight of a backbone but what its grown layers added."""
    added = {
        id(weight)
        for layer in grown
        for weight in (
            *layer.scale_variables,
            *(weight for new in layer.slices for weight in new.weights),
        )
    }
    added |= {id(weight) for weight in lora_variables(backbone)}
    weights = [w for w in backbone.weights if id(w) not in added]
    names = _names_of_one_alone(backbone)
    # Hashing releases the interpreter lock.
    with ThreadPoolExecutor() as pool:
        rows = [
            (_alone(weight.path, names), _submitted(weight, pool))
            for weight in weights
        ]
        digests = sorted(
            (path, [part.result() for part in parts]) for path, parts in rows
        )
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def _names_of_one_alone(backbone: keras.Model) -> dict[str, str]:
    """Names that layers would have if there were no other model.

    Keras names a layer that was given no name after its class, and counts
    those of the whole process: two equal models have other names.
    """
    counted: dict[str, set[tuple[int, str]]] = {}
    for layer in flatten_layers(backbone):
        stem, number = re.fullmatch(r"(.+?)(?:_(\d+))?", layer.name).groups()  # type: ignore[union-attr]
        classes = {cls.__name__.lower() for cls in type(layer).__mro__}
        if stem.replace("_", "") in classes:
            counted.setdefault(stem, set()).add((int(number or 0), layer.name))
    return {
        name: f"{stem}_{place}" if place else stem
        for stem, found in counted.items()
        for place, (_, name) in enumerate(sorted(found))
    }


def steady_paths(
    model: keras.Model, weights: Sequence[keras.Variable]
) -> dict[int, str]:
    """A path of its own for each weight, by id, the same in any process.

    Some layers of KerasHub share a path, such as SmolLM 3's `o_proj`: all but
    the first are numbered.
    """
    names = _names_of_one_alone(getattr(model, "backbone", model))
    paths = numbered([_alone(weight.path, names) for weight in weights])
    return dict(zip(map(id, weights), paths, strict=True))


def _alone(path: str, names: dict[str, str]) -> str:
    """A path with the names that layers have in a process of their own."""
    return "/".join(names.get(name, name) for name in path.split("/"))


def growth_fingerprint(
    state: ModelState, name: str, called: str | None = None
) -> str:
    """Digest of the slices of one growth, as they are stored now.

    With `called`, as the digest would be if that were its name.
    """
    variables = slice_variables(state, name, called)
    digests = [
        (key, _digest(variable)) for key, variable in sorted(variables.items())
    ]
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def slice_variables(
    state: ModelState, name: str, called: str | None = None
) -> dict[str, Any]:
    """Variables of a growth's slices, as growth files name them.

    Names are `blocks.INDEX.SLOT/GROWTH/VARIABLE`; the growth in them is
    `called`, or `name`.
    """
    variables = {}
    for index, mlp in state.mlps.items():
        for slot, layer in mlp.items():
            for new in layer.slices:
                if new.name != name:
                    continue
                parts = {new.name: new}
                if isinstance(new, CopiedDense):
                    parts = {f"{name}/{c.name}": c for c in new.copies}
                for part, owner in parts.items():
                    tail = part.replace(name, called or name, 1)
                    for weight in owner.weights:
                        key = f"blocks.{index}.{slot}/{tail}/{weight.name}"
                        variables[key] = weight
    return variables


def stored_array(variable: Any) -> np.ndarray:
    """The value of a variable, in the dtype in which it is stored."""
    return _as_stored(variable, whole_value(variable))


def _submitted(variable: Any, pool: ThreadPoolExecutor) -> list[Future[str]]:
    """Futures of the hashes of a variable's parts."""
    parts = []
    for part in _parts(variable):
        parts.append(pool.submit(_sha256, part))
        if is_spread(variable):
            # Otherwise the whole base would pile up in the queue.
            parts[-1].result()
    return parts


def _as_stored(variable: Any, array: NDArray[Any]) -> np.ndarray:
    if keras.backend.standardize_dtype(variable.dtype) == "bfloat16":
        # Keras returns float32 where the backend has no such NumPy dtype.
        array = array.astype(ml_dtypes.bfloat16)
    return np.asarray(array, order="C")


def _parts(variable: Any) -> Iterator[Any]:
    """The dtype, shape and bytes of a variable, cut for several threads."""
    if not is_spread(variable):
        array = stored_array(variable)
        yield _head(array.dtype, array.shape)
        data = array.reshape(-1).view(np.uint8)
        yield from (data[i : i + CHUNK] for i in range(0, len(data), CHUNK))
        return
    yield _head(variable.value.dtype, tuple(variable.shape))
    held = np.empty(0, np.uint8)
    for block in row_blocks(variable, CHUNK):
        held = np.concatenate([held, block.reshape(-1).view(np.uint8)])
        while len(held) >= CHUNK:
            yield held[:CHUNK]
            held = held[CHUNK:]
    if len(held):
        yield held


def _head(dtype: Any, shape: tuple[int, ...]) -> bytes:
    return f"{dtype} {shape}".encode()


def _digest(variable: Any) -> list[str]:
    return [_sha256(part) for part in _parts(variable)]


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()

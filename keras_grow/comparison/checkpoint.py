"""What a run needs to resume after it was killed, in one file."""

import json
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_grow.comparison.layout import CHECKPOINT_FILE
from keras_grow.files import open_tensors
from keras_grow.files import save_tensors
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import parse_json
from keras_grow.files.checked_json import show
from keras_grow.saving.fingerprint import steady_paths
from keras_grow.saving.fingerprint import stored_array


class RunState(NamedTuple):
    """How far a run has come, over all of its processes.

    `peak_bytes` is the most memory that one process held.
    """

    step: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0


def save_checkpoint(
    lm: keras.Model, path: Path, state: RunState, updates: int
) -> None:
    """Save the trainable weights and the optimizer, atomically.

    At the end of the run (`updates`) the optimizer, most of the file, is left
    out: it is not needed any more.
    """
    variables = _variables(lm, state.step < updates)
    written = {"state": json.dumps(state._asdict())}
    save_tensors(_arrays(variables), path, written)


def load_checkpoint(lm: keras.Model, path: Path, updates: int) -> RunState:
    """Restore a saved state, and return how far the run had come.

    A file that does not fit leaves the model as it was. Weights and what the
    optimizer keeps of each are found by their names, so that the order in which
    a model lists its variables does not matter.
    """
    if not lm.optimizer.built:
        lm.optimizer.build(lm.trainable_variables)
    state = _run_state(path)
    variables = _variables(lm, state.step < updates)
    tensors = _read(path, variables)
    for key, variable in variables.items():
        variable.assign(tensors[key])
    return state


def save_weights(lm: keras.Model, path: Path) -> None:
    """Save the trainable weights alone, atomically."""
    save_tensors(_arrays(_weights(lm)), path)


def load_weights(lm: keras.Model, path: Path) -> None:
    """Put saved trainable weights into a model prepared in the same way.

    A file that does not fit leaves the model as it was.
    """
    weights = _weights(lm)
    tensors = _read(path, weights)
    for key, weight in weights.items():
        weight.assign(tensors[key])


def checkpoint_bytes(lm: keras.Model) -> int:
    """Approximate size of a checkpoint: weights, Adam's two moments."""
    weights = lm.trainable_variables
    return 3 * sum(4 * int(np.prod(w.shape)) for w in weights)


def check_room(own: Path, lm: keras.Model) -> None:
    """Refuse to train where the checkpoint will not fit on the disk."""
    needed = checkpoint_bytes(lm)
    # A new checkpoint is written beside the old one; the old one is there.
    free = shutil.disk_usage(own).free
    held = sum(f.stat().st_size for f in own.glob(CHECKPOINT_FILE))
    if free + held < 2 * needed:
        raise OSError(
            f"Expected {2 * needed / 1e9:.1f} GB of room for checkpoints in "
            f"{os.fspath(own)!r}. Received: {free / 1e9:.1f} GB free. Free "
            "some, or choose another folder."
        )


def _weights(lm: keras.Model) -> dict[str, Any]:
    paths = steady_paths(lm, lm.trainable_variables)
    return {paths[id(w)]: w for w in lm.trainable_variables}


def _variables(lm: keras.Model, goes_on: bool) -> dict[str, Any]:
    weights = {f"weight.{key}": w for key, w in _weights(lm).items()}
    if not goes_on:
        return weights
    return {**weights, **_optimizer_variables(lm)}


def _optimizer_variables(lm: keras.Model) -> dict[str, Any]:
    """Variables of the optimizer by the names that weights have in a file.

    Keras names them after the path of their weight. Weights may share a path,
    and paths count the layers of a process.
    """
    weights = lm.trainable_variables
    steady = steady_paths(lm, weights)
    by_path: dict[str, list[str]] = {}
    for weight in weights:
        path = weight.path.replace("/", "_")
        by_path.setdefault(path, []).append(steady[id(weight)])
    variables: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for variable in lm.optimizer.variables:
        # The first part counts the optimizers of a process: `adam_1/`.
        optimizer, _, name = variable.path.partition("/")
        optimizer = re.sub("_[0-9]+$", "", optimizer)
        path = name
        while path and path not in by_path:
            path = path.rpartition("_")[0]
        if path:
            sharing = by_path[path]
            own = sharing[seen[name] % len(sharing)]
            seen[name] += 1
            name = own + name[len(path) :]
        key = f"optimizer.{optimizer}/{name}"
        if key in variables:
            raise ValueError(
                "Expected variables of different names, by which a checkpoint "
                f"finds them again. Received: two named {key!r}"
            )
        variables[key] = variable
    return variables


def _arrays(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: stored_array(variable) for key, variable in variables.items()}


def _run_state(path: Path) -> RunState:
    """How far a run had come, as its checkpoint says."""
    what = "the state of a checkpoint"
    with open_tensors(path, "a checkpoint", "a comparison") as file:
        values = parse_json((file.metadata() or {}).get("state", ""), what)
        check_fields(values, what, RunState._fields)
        return RunState(
            check_int(values["step"], "step", 0),
            check_float(values["seconds"], "seconds", 0.0),
            check_int(values["peak_bytes"], "peak_bytes", 0),
        )


def _read(path: Path, variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """Tensors of a file that fits `variables`."""
    expected = {
        key: (
            keras.backend.standardize_dtype(variable.dtype),
            tuple(variable.shape),
        )
        for key, variable in variables.items()
    }
    with open_tensors(path, "a checkpoint", "a comparison") as file:
        names = set(file.keys())
        if names != set(expected):
            wrong = sorted(names ^ set(expected))
            raise ValueError(
                "Expected a checkpoint of this model and optimizer. "
                f"Received: {len(wrong)} names that only one of them has, "
                f"such as {show(wrong[0])}"
            )
        tensors = {key: file.get_tensor(key) for key in expected}
        for key, (dtype, shape) in expected.items():
            found = (str(tensors[key].dtype), tensors[key].shape)
            if found != (dtype, shape):
                raise ValueError(
                    f"Expected {show(key)} of {dtype} and shape {shape}. "
                    f"Received: {found[0]} and shape {found[1]}"
                )
    return tensors

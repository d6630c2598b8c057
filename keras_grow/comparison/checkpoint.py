"""What a run needs to go on where it was killed, in one file."""

import json
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from safetensors import safe_open

from keras_grow.files import save_tensors
from keras_grow.saving.fingerprint import stored_array


class Progress(NamedTuple):
    """How far a run is, over all of its processes.

    Attributes:
        step: updates made.
        seconds: seconds that they took.
        peak_bytes: the most memory that a process held.
    """

    step: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0


def save_checkpoint(lm: keras.Model, path: Path, progress: Progress) -> None:
    """Save the trainable weights and the optimizer, atomically.

    Args:
        lm: a compiled model whose optimizer is built.
        path: the file.
        progress: how far the run is.
    """
    tensors = {
        key: stored_array(variable) for key, variable in _state(lm).items()
    }
    state = json.dumps(progress._asdict())
    save_tensors(tensors, path, {"state": state})


def load_checkpoint(lm: keras.Model, path: Path) -> Progress:
    """Put a saved state back.

    Args:
        lm: the model, prepared and compiled as the saved one was.
        path: the file.

    Returns:
        How far the run was.
    """
    if not lm.optimizer.built:
        lm.optimizer.build(lm.trainable_variables)
    with safe_open(path, framework="numpy") as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
        for key, variable in _state(lm).items():
            variable.assign(file.get_tensor(key))
    return Progress(**state)


def save_weights(lm: keras.Model, path: Path) -> None:
    """Save the trainable weights alone, atomically."""
    tensors = {w.path: stored_array(w) for w in lm.trainable_variables}
    save_tensors(tensors, path)


def load_weights(lm: keras.Model, path: Path) -> None:
    """Put saved trainable weights into a model that was prepared alike."""
    with safe_open(path, framework="numpy") as file:
        for weight in lm.trainable_variables:
            weight.assign(file.get_tensor(weight.path))


def checkpoint_bytes(lm: keras.Model) -> int:
    """About how large a checkpoint is: weights and Adam's two moments."""
    weights = lm.trainable_variables
    return 3 * sum(4 * int(np.prod(w.shape)) for w in weights)


def _state(lm: keras.Model) -> dict[str, Any]:
    state = {f"weight.{w.path}": w for w in lm.trainable_variables}
    for index, variable in enumerate(lm.optimizer.variables):
        state[f"optimizer.{index}"] = variable
    return state

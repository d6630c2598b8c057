"""What a run needs to go on where it was killed, in one file."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import safe_open

from keras_grow.saving.fingerprint import stored_array
from keras_grow.saving.tensors import save_tensors


def save_checkpoint(
    lm: keras.Model, path: Path, step: int, seconds: float
) -> None:
    """Save the trainable weights and the optimizer, atomically.

    Args:
        lm: a compiled model whose optimizer is built.
        path: the file.
        step: updates made.
        seconds: seconds that they took.
    """
    tensors = {
        key: stored_array(variable) for key, variable in _state(lm).items()
    }
    state = json.dumps({"step": step, "seconds": seconds})
    save_tensors(tensors, path, {"state": state})


def load_checkpoint(lm: keras.Model, path: Path) -> tuple[int, float]:
    """Put a saved state back.

    Args:
        lm: the model, prepared and compiled as the saved one was.
        path: the file.

    Returns:
        Updates made, and the seconds that they took.
    """
    if not lm.optimizer.built:
        lm.optimizer.build(lm.trainable_variables)
    with safe_open(path, framework="numpy") as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
        for key, variable in _state(lm).items():
            variable.assign(file.get_tensor(key))
    return state["step"], state["seconds"]


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

"""A causal language model by its name, for commands and configurations."""

import os
from typing import Any

import keras
import keras_hub

from keras_grow.growth.families import tasks_over
from keras_grow.keras_internals import preset_backbone_class
from keras_grow.loading.gemma3_270m import load_gemma3_270m
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf


def load_causal_lm(
    name: str | os.PathLike[str], dtype: str = "float32"
) -> keras.Model:
    """Load a causal language model by name.

    Args:
        name: `"gemma3_270m_pip"` (the base Gemma 3 270M that a pip package
            ships, no account needed), the path of a Gemma 3 GGUF file or of a
            `.keras` file, or anything that
            `keras_hub.models.CausalLM.from_preset` takes.
        dtype: dtype or dtype policy of the model. Defaults to `"float32"`; a
            `.keras` file has its own.

    Returns:
        A KerasHub `CausalLM` with its preprocessor.

    Raises:
        ValueError: if there is no such model, or a `.keras` file holds
            another kind of model.

    Example:

    ```python
    lm = keras_grow.load_causal_lm("gemma3_270m_pip")
    ```
    """
    name = os.fspath(name)
    if name == "gemma3_270m_pip":
        return load_gemma3_270m(dtype)
    if name.endswith(".gguf"):
        return load_gemma3_gguf(name, dtype=dtype)
    if name.endswith(".keras"):
        lm = keras.saving.load_model(name, compile=False)
        if not isinstance(lm, keras_hub.models.CausalLM):
            raise ValueError(
                "Expected a `.keras` file of a KerasHub causal language model. "
                f"Received: {name!r}, which holds a {type(lm).__name__}"
            )
        return _read_anew(lm)
    return _read_anew(_class_of(name).from_preset(name, dtype=dtype))


def _class_of(preset: str) -> Any:
    """The class of the language model in a preset.

    KerasHub takes any of a backbone's classes, and Gemma 4 has one of draft
    models besides, which reads no text.
    """
    tasks = [
        task
        for task in tasks_over(preset_backbone_class(preset))
        if issubclass(task, keras_hub.models.CausalLM)
        and getattr(task, "preprocessor_cls", None)
    ]
    return tasks[0] if len(tasks) == 1 else keras_hub.models.CausalLM


def _read_anew(lm: Any) -> Any:
    """A Gemma 3n task whose output head is the embedding that was loaded.

    KerasHub's task keeps the embedding that it was built with.
    """
    backbone = getattr(lm, "backbone", None)
    if not isinstance(backbone, keras_hub.models.Gemma3nBackbone):
        return lm
    return type(lm)(
        backbone=backbone, preprocessor=lm.preprocessor, name=lm.name
    )

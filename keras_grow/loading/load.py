"""A causal language model by its name, for commands and configurations."""

import os

import keras
import keras_hub

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
        ValueError: if there is no such model.

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
        return keras.saving.load_model(name, compile=False)
    return keras_hub.models.CausalLM.from_preset(name, dtype=dtype)

"""Models from files that KerasHub does not read."""

from keras_grow.models.gemma3_270m import gemma3_270m_gguf
from keras_grow.models.gemma3_270m import load_gemma3_270m
from keras_grow.models.gemma3_gguf import load_gemma3_gguf
from keras_grow.models.gemma3_gguf import load_gemma3_gguf_backbone
from keras_grow.models.load import load_model

__all__ = [
    "gemma3_270m_gguf",
    "load_gemma3_270m",
    "load_gemma3_gguf",
    "load_gemma3_gguf_backbone",
    "load_model",
]

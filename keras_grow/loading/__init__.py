"""Models from files that KerasHub does not read."""

from keras_grow.loading.gemma3_270m import gemma3_270m_gguf
from keras_grow.loading.gemma3_270m import load_gemma3_270m
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf_backbone
from keras_grow.loading.load import load_causal_lm

__all__ = [
    "gemma3_270m_gguf",
    "load_causal_lm",
    "load_gemma3_270m",
    "load_gemma3_gguf",
    "load_gemma3_gguf_backbone",
]

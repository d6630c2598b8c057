"""Export models for serving: transformers folders and GGUF files."""

from keras_grow.export.to_gguf import export_gguf
from keras_grow.export.to_transformers import Export
from keras_grow.export.to_transformers import export_transformers

__all__ = ["Export", "export_gguf", "export_transformers"]

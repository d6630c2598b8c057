"""Export models for serving: transformers folders and GGUF files."""

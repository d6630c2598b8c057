"""Growth files: the new slices of a model, apart from its base."""

from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.growth_file import load_growth
from keras_grow.saving.growth_file import save_growth

__all__ = ["base_fingerprint", "load_growth", "save_growth"]

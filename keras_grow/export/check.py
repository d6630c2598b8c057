"""Load what was exported with `transformers`, and compare logits."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_grow.evaluation.compiled import compile_over
from keras_grow.growth.families import backbone_of

_PROMPTS = (
    "The capital of France is",
    "def forget(model):\n    return model",
    "Bonjour le monde. 12 + 30 = 42",
)


def largest_difference(
    model: keras.Model,
    path: str | os.PathLike[str],
    prompts: Sequence[str] | None = None,
) -> float:
    """Return the largest difference between our logits and `transformers'`.

    Each side computes in the dtype of its weights: tiny models are about 1e-5
    apart in float32, and 1e-1 if either is in bfloat16. Gemma 3 270M was 2e-4
    apart in float32; in GGUF files 0.7 with bf16, 1.9 with q8_0, which round
    weights. Without prompts it takes three texts, or random tokens if the model
    has no tokenizer.
    """
    rows = _rows(model, prompts)
    theirs = load_transformers(path)
    # One batch on this side: a backend that compiles does so once.
    ours = logits(model, rows)
    return max(
        float(np.abs(mine[: len(row)] - transformers_logits(theirs, row)).max())
        for mine, row in zip(ours, rows, strict=True)
    )


def check_comparable(
    model: keras.Model,
    prompts: Sequence[str] | None = None,
    gguf_file: bool = False,
) -> None:
    """Refuse, before a model is written, what could not be compared later."""
    needed = ["transformers", "torch", *(["accelerate"] if gguf_file else [])]
    missing = [name for name in needed if not importlib.util.find_spec(name)]
    if missing:
        raise ImportError(
            f"Expected {' and '.join(needed)}, to load what is exported. "
            f"Install them with `pip install {' '.join(missing)}`."
        )
    _rows(model, prompts)


def load_transformers(path: str | os.PathLike[str]) -> Any:
    """Load an exported folder or GGUF file, in float32 and eager attention."""
    # Triton 3.7 and 3.8, imported after TensorFlow 2.21, end the process with
    # a segmentation fault, and torch's CUDA build imports it. A process that
    # has both is left without Triton: nothing here needs it.
    if "tensorflow" in sys.modules:
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
    import torch
    from transformers import AutoModelForCausalLM

    path = Path(path)
    where: dict[str, Any] = {"pretrained_model_name_or_path": path}
    if path.is_file():
        where = {
            "pretrained_model_name_or_path": path.parent,
            "gguf_file": path.name,
        }
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        **where, dtype=torch.float32, attn_implementation="eager"
    )
    return loaded.eval()


def logits(model: keras.Model, rows: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Logits `[rows, length, vocabulary]` of a KerasHub model, in float32."""
    length = max(len(row) for row in rows)
    ids = np.zeros((len(rows), length), "int32")
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    backbone = backbone_of(model)

    def forward(token_ids: Any, padding_mask: Any) -> Any:
        outputs = model({"token_ids": token_ids, "padding_mask": padding_mask})
        if model is backbone:
            outputs = backbone.token_embedding(outputs, reverse=True)
        return keras.ops.cast(outputs, "float32")

    # As one program: JAX would compile every operation of a call by itself.
    outputs = compile_over(forward, model)(
        *map(keras.ops.convert_to_tensor, (ids, mask))
    )
    found: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(outputs)
    return found


def _rows(
    model: keras.Model, prompts: Sequence[str] | None
) -> list[np.ndarray[Any, Any]]:
    """The token ids of each text to compare logits on."""
    preprocessor = getattr(model, "preprocessor", None)
    if preprocessor is None and prompts is None:
        rng = np.random.default_rng(0)
        return [rng.integers(0, backbone_of(model).vocabulary_size, 24)]
    if preprocessor is None:
        raise ValueError(
            "Expected a model with a preprocessor to encode `prompts` with. "
            f"Received: {type(model).__name__} without one."
        )
    if isinstance(prompts, str):
        raise ValueError(
            "Expected `prompts` to be a list of texts. "
            f"Received: prompts={prompts!r}"
        )
    texts = _PROMPTS if prompts is None else prompts
    rows = [np.asarray(preprocessor.tokenizer(text)) for text in texts]
    rows = [row for row in rows if len(row)]
    if not rows:
        raise ValueError(
            "Expected texts with tokens in them, to compare logits on. "
            f"Received: prompts={prompts!r}"
        )
    return rows


def transformers_logits(model: Any, tokens: Any) -> np.ndarray[Any, Any]:
    """Logits `[length, vocabulary]` of a `transformers` model."""
    import torch

    ids = torch.tensor(np.asarray(tokens, "int64")[None])
    with torch.no_grad():
        found: np.ndarray[Any, Any] = model(input_ids=ids).logits[0].numpy()
    return found

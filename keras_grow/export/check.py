"""What was exported, loaded again by `transformers` and compared."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

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

    Each side computes in the dtype that it has its weights in: about 1e-5
    apart in float32, and 1e-1 where either is in bfloat16.

    Args:
        model: a KerasHub `CausalLM` or backbone.
        path: a folder or a GGUF file that was exported from it.
        prompts: texts. Defaults to three, or to random tokens where the
            model has no tokenizer.

    Returns:
        The largest absolute difference of a logit.

    Raises:
        ImportError: if `transformers` or torch is not installed.
    """
    theirs = load_transformers(path)
    preprocessor = getattr(model, "preprocessor", None)
    if prompts is not None and preprocessor is None:
        raise ValueError(
            "Expected a model with a preprocessor to encode `prompts` with. "
            f"Received: {type(model).__name__} without one."
        )
    if preprocessor is None:
        rng = np.random.default_rng(0)
        size = backbone_of(model).vocabulary_size
        rows = [rng.integers(0, size, 24)]
    else:
        texts = _PROMPTS if prompts is None else prompts
        rows = [np.asarray(preprocessor.tokenizer(text)) for text in texts]
    rows = [row for row in rows if len(row)]
    # One batch on our side: a backend that compiles does it once.
    ours = logits(model, rows)
    return max(
        float(np.abs(mine[: len(row)] - transformers_logits(theirs, row)).max())
        for mine, row in zip(ours, rows, strict=True)
    )


def load_transformers(path: str | os.PathLike[str]) -> Any:
    """Load an exported folder or GGUF file, in float32 and eager attention."""
    try:
        import torch
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise ImportError(
            "Expected `transformers` and torch, to load what was exported. "
            "Install them with `pip install transformers torch`."
        ) from error
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
    """Logits `[rows, length, vocabulary]` of a KerasHub model, in float32.

    Args:
        model: a `CausalLM` or backbone.
        rows: token ids of each text. Shorter ones are padded at their end.
    """
    length = max(len(row) for row in rows)
    ids = np.zeros((len(rows), length), "int32")
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    outputs = model({"token_ids": ids, "padding_mask": mask})
    backbone = backbone_of(model)
    if model is backbone:
        outputs = backbone.token_embedding(outputs, reverse=True)
    outputs = keras.ops.cast(outputs, "float32")
    found: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(outputs)
    return found


def transformers_logits(model: Any, tokens: Any) -> np.ndarray[Any, Any]:
    """Logits `[length, vocabulary]` of a `transformers` model."""
    import torch

    ids = torch.tensor(np.asarray(tokens, "int64")[None])
    with torch.no_grad():
        found: np.ndarray[Any, Any] = model(input_ids=ids).logits[0].numpy()
    return found

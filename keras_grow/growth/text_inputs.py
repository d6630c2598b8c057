"""What a backbone takes for text alone."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

_TEXT = ("token_ids", "padding_mask")
_POSITIONS = "position_ids"  # Gemma 4 takes them too.


def check_reads_text(backbone: keras.Model) -> None:
    """Refuse a backbone that takes more than text."""
    names = {tensor.name for tensor in backbone.inputs}
    more = sorted(names - {*_TEXT, _POSITIONS})
    if more:
        raise ValueError(
            "Expected a model of text alone: of token ids and a padding mask. "
            f"Received: {type(backbone).__name__}, which takes {more} with "
            "every text. Load the text-only model of the family, if it has "
            "one; PaliGemma has none."
        )


def within_positions(length: int, backbone: keras.Model) -> int:
    """`length`, or the number of positions that a model has, if fewer.

    GPT-2 and OPT have learned each position; most families have no bound.
    """
    most: int | None = getattr(backbone, "max_sequence_length", None)
    return length if most is None else min(length, most)


def text_inputs(
    backbone: keras.Model, inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Token ids and mask, with the positions where a backbone takes them.

    All are `[B, S]`, arrays or tensors.
    """
    found = {name: inputs[name] for name in _TEXT}
    if _POSITIONS in {tensor.name for tensor in backbone.inputs}:
        tokens = found["token_ids"]
        array: Any = np if isinstance(tokens, np.ndarray) else ops
        found[_POSITIONS] = array.broadcast_to(
            array.arange(tokens.shape[1], dtype="int32"), tokens.shape
        )
    return found

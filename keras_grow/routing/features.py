"""A prompt as a vector: the mean of the base's vectors for its tokens."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.evaluation.batches import pad_rows
from keras_grow.evaluation.compiled import PerState
from keras_grow.evaluation.compiled import compile_over
from keras_grow.evaluation.compiled import compiled_length
from keras_grow.files.checked_json import check_choice
from keras_grow.growth.in_fit import check_readable
from keras_grow.growth.state import ModelState
from keras_grow.growth.switch import growth_disabled
from keras_grow.growth.text_inputs import text_inputs

_BATCH_SIZE = 16
_MAX_LENGTH = 1024


def features_of(
    lm: keras.Model, kind: str, block: int | None, start_token: int
) -> "EmbeddingMeans | HiddenMeans":
    """The function that reads prompts, by the kind of its features."""
    check_choice(kind, "features", ("embeddings", "hidden"))
    if (block is None) == (kind == "hidden"):
        raise ValueError(
            'Expected `block` with `features="hidden"` and only then. '
            f"Received: features={kind!r}, block={block}"
        )
    if block is None:
        return EmbeddingMeans(lm)
    return HiddenMeans(lm, start_token, block)


class EmbeddingMeans:
    """The mean of a prompt's token embeddings: no forward pass."""

    def __init__(self, lm: keras.Model) -> None:
        self._lm = lm
        state = ModelState.of(lm)
        self._embedding = state.family.embedding_of(state.backbone)

    def __call__(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Features `[rows, d]` of rows of token ids, none of them empty."""
        check_readable(self._lm, "GrowthRouter")
        tokens, places = np.unique(np.concatenate(rows), return_inverse=True)
        # A power of two: few sizes are compiled.
        size = 1 << (len(tokens) - 1).bit_length()
        padded = np.pad(tokens, (0, size - len(tokens))).astype("int32")
        vectors = self._embedding(ops.convert_to_tensor(padded[None], "int32"))
        table = ops.convert_to_numpy(ops.cast(vectors, "float32"))[0]
        ends = np.cumsum([len(row) for row in rows])[:-1]
        return np.stack(
            [
                table[row].mean(axis=0, dtype="float64")
                for row in np.split(places.reshape(-1), ends)
            ]
        )


class HiddenMeans:
    """The mean of the base's hidden states after a block: a partial pass.

    The start token is read but not counted.
    """

    def __init__(self, lm: keras.Model, start_token: int, block: int) -> None:
        backbone = lm.backbone
        blocks = ModelState.of(lm).blocks
        if not 0 <= block < len(blocks):
            raise ValueError(
                f"Expected `block` to be from 0 to {len(blocks) - 1}. "
                f"Received: block={block}"
            )
        self._lm = lm
        self._start = start_token
        output = blocks[block].output
        self._part = keras.Model(
            {tensor.name: tensor for tensor in backbone.inputs},
            output[0] if isinstance(output, (list, tuple)) else output,
        )
        self._compiled = PerState(
            backbone, lambda: compile_over(self._states, backbone)
        )

    def __call__(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Features `[rows, d]` of rows of token ids, none of them empty."""
        features = []
        read = [[self._start, *row][:_MAX_LENGTH] for row in rows]
        with growth_disabled(self._lm):
            function = self._compiled.get()
            for start in range(0, len(read), _BATCH_SIZE):
                batch = read[start : start + _BATCH_SIZE]
                length = compiled_length(max(map(len, batch)))
                states = ops.convert_to_numpy(
                    function(*pad_rows(batch, _BATCH_SIZE, length))
                )
                features += [
                    state[1 : len(row)].mean(axis=0, dtype="float64")
                    for state, row in zip(states, batch, strict=False)
                ]
        return np.stack(features)

    def _states(self, token_ids: Any, padding_mask: Any) -> Any:
        inputs = {
            "token_ids": ops.convert_to_tensor(token_ids, "int32"),
            "padding_mask": ops.convert_to_tensor(padding_mask, "bool"),
        }
        inputs = text_inputs(self._lm.backbone, inputs)
        return ops.cast(self._part(inputs, training=False), "float32")

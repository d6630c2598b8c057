"""Token arrays of passages: given, tokenized, or written by the base."""

from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops

from keras_grow.growth.compiled import sync_part


def token_arrays(
    passages: Any, lm: keras.Model, length: int
) -> dict[str, np.ndarray]:
    """Token ids and padding mask, `(passages, length)`, of any passages."""
    if isinstance(passages, dict):
        given = passages
    elif isinstance(passages[0], str):
        if lm.preprocessor is None:
            raise ValueError(
                "Strings need a model with a preprocessor. Received: "
                f"passages={passages[:1]}... and a model without one. Pass "
                "token ids."
            )
        given = lm.preprocessor.generate_preprocess(
            np.array(passages), sequence_length=length
        )
    else:
        ids = np.zeros((len(passages), length), "int32")
        mask = np.zeros((len(passages), length), bool)
        for row, tokens in enumerate(passages):
            kept = np.asarray(tokens[:length])
            ids[row, : len(kept)] = kept
            mask[row, : len(kept)] = True
        given = {"token_ids": ids, "padding_mask": mask}
    return {
        "token_ids": ops.convert_to_numpy(given["token_ids"]).astype("int32"),
        "padding_mask": ops.convert_to_numpy(given["padding_mask"]).astype(
            bool
        ),
    }


def shuffled(arrays: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """Arrays of passages, in the order in which an anchor reads them."""
    count = len(arrays["token_ids"])
    order = np.random.default_rng(seed).permutation(count)
    return {name: array[order] for name, array in arrays.items()}


def write_passages(
    lm: Any,
    num_passages: int,
    length: int,
    temperature: float = 1.0,
    seed: int = 0,
    start_token_id: int | None = None,
) -> dict[str, np.ndarray]:
    """Sample passages from a model, beginning with the start token."""
    tokenizer = getattr(lm.preprocessor, "tokenizer", None)
    if start_token_id is None:
        if tokenizer is None:
            raise ValueError(
                "`lm` has no tokenizer to take the start token from. "
                "Received: start_token_id=None. Pass the id of the token that "
                "every text starts with."
            )
        start_token_id = tokenizer.start_token_id
    stop = None if tokenizer is None else (tokenizer.end_token_id,)
    token_ids = np.zeros((num_passages, length), "int32")
    token_ids[:, 0] = start_token_id
    padding_mask = np.zeros((num_passages, length), bool)
    padding_mask[:, 0] = True
    sync_part(lm)
    before = lm.sampler, lm.generate_function
    lm.sampler = keras_hub.samplers.RandomSampler(
        temperature=temperature, seed=seed
    )
    lm.generate_function = None
    try:
        written = lm.make_generate_function()(
            {
                "token_ids": ops.convert_to_tensor(token_ids, "int32"),
                "padding_mask": ops.convert_to_tensor(padding_mask, "bool"),
            },
            stop_token_ids=stop,
        )
    finally:
        lm.sampler, lm.generate_function = before
    mask = ops.convert_to_numpy(written["padding_mask"]).astype(bool)
    return {
        "token_ids": ops.convert_to_numpy(written["token_ids"]) * mask,
        "padding_mask": mask,
    }

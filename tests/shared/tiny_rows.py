"""Rows of many lengths, as `encode` would make them."""

import numpy as np
from family_models import VOCABULARY_SIZE

LENGTH = 32


def rows_of_lengths(count=22, seed=0):
    """Rows of 3 to 32 tokens, each with a response of its own length."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, LENGTH + 1, count)
    place = np.arange(LENGTH)
    mask = place < lengths[:, None]
    tokens = rng.integers(4, VOCABULARY_SIZE, (count, LENGTH)) * mask
    answer = mask & (place >= lengths[:, None] - rng.integers(1, 3, (count, 1)))
    x = {"token_ids": tokens.astype("int32"), "padding_mask": mask}
    y = np.roll(x["token_ids"], -1, axis=1)
    return x, y, answer.astype("float32")

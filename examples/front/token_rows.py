"""Rows of tokens that `encode.py` wrote, and the batches made of them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np


def read_tokens(path: Path, tiny_rows: int) -> dict[str, np.ndarray]:
    """What `encode.py` wrote, or a few short rows of it."""
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    return _small(data, tiny_rows) if tiny_rows else data


def training_rows(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows to train on: none is cut, longer ones are left out."""
    longest = int(data["row_tokens"])
    kept = data["train_length"] <= longest
    return {
        "ids": data["train_ids"][kept, :longest],
        "first": data["train_first"][kept],
        "length": data["train_length"][kept],
    }


def inputs_and_labels(data: dict[str, np.ndarray], rows: Any) -> Any:
    """Inputs, labels and sample weights of some rows."""
    ids = data["ids"][rows]
    places = np.arange(ids.shape[1])
    first, length = (data[name][rows][:, None] for name in ("first", "length"))
    labels = np.roll(ids, -1, axis=1)
    scored = (places >= first - 1) & (places < length - 1)
    x = {"token_ids": ids, "padding_mask": places < length}
    return x, labels, scored.astype(np.float32)


class Rows(keras.utils.PyDataset):
    """Batches of some updates, in an order that the seed alone decides.

    Args:
        data: as `training_rows` returns it.
        batch_size: rows of an update.
        seed: decides the order.
        start: the first update.
        stop: the update after the last.
        kept: which labels are learned, an array like the labels; all of the
            response by default.
    """

    def __init__(
        self,
        data: dict[str, np.ndarray],
        batch_size: int,
        seed: int,
        start: int,
        stop: int,
        kept: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.data, self.batch_size, self.kept = data, batch_size, kept
        count = len(data["ids"])
        rng = np.random.default_rng(seed)
        order = [
            rng.permutation(count)
            for _ in range(1 + stop * batch_size // count)
        ]
        self.order = np.concatenate(order)[start * batch_size :]
        self.length = stop - start

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        at = index * self.batch_size
        rows = self.order[at : at + self.batch_size]
        x, labels, weights = inputs_and_labels(self.data, rows)
        return x, labels, weights if self.kept is None else self.kept[rows]


def _small(data: dict[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """A few short rows of ids that a tiny vocabulary has."""
    small = {}
    for name, array in data.items():
        if not array.ndim:
            small[name] = array
            continue
        kept = array[: 2 * rows if "winogrande_" in name else rows]
        if name.endswith("gold"):
            kept = array[:rows]
        small[name] = kept % 300 if name.endswith("ids") else kept
    return small

"""Passages that a model should keep predicting as its base does."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Self
from typing import TypedDict
from typing import Unpack

import keras
import numpy as np

from keras_grow.files import save_tensors
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.growth.families import backbone_of
from keras_grow.training import anchor_file
from keras_grow.training.base_predictions import KnownModel
from keras_grow.training.base_predictions import as_base
from keras_grow.training.base_predictions import base_predictions
from keras_grow.training.base_predictions import fingerprint_as_base
from keras_grow.training.divergence import DIRECTIONS
from keras_grow.training.divergence import Direction
from keras_grow.training.head import OutputHead
from keras_grow.training.passages import shuffled
from keras_grow.training.passages import token_arrays
from keras_grow.training.passages import write_passages


class Options(TypedDict, total=False):
    """The arguments that `KLAnchor.from_model` and `load` pass on."""

    weight: float
    batch_size: int
    direction: Direction


class KLAnchor:
    """A penalty on how far a model's predictions move from its base's.

    Frozen weights alone do not freeze behavior: new slices act on every
    input. An anchor adds `weight` times the mean divergence of the model from
    its base, on unlabeled passages, to the loss of each training step:

        loss = task_loss + weight * mean KL(base || model)

    The base's predictions are computed once, before training, from the same
    weights with growth switched off (for other methods, from the model as it is
    then). For a growth on top of others they stay active, at the scales that it
    lies on: the model is held to what they learned, too. For each position the
    log-probabilities of the `top_k` likeliest tokens and of all others together
    are kept, `8 * top_k + 4` bytes. The divergence on these `top_k + 1` classes
    is a lower bound of the one over the whole vocabulary.

    Args:
        passages: text that the model should keep predicting as its base does: a
            sequence of strings (the model needs a preprocessor), a sequence of
            token-id sequences, or `{"token_ids": ..., "padding_mask": ...}`
            with arrays of shape `(passages, length)`.
        weight: what the mean divergence (nats per position) is multiplied by.
        top_k: how many tokens of each position get their own class.
        batch_size: passages per training step. They are taken in turn, in an
            order that depends on `seed` alone, not on the task's batches.
        length: maximum tokens of a passage; the rest is cut off. Used for
            strings and token sequences.
        direction: `"base_to_model"` for KL(base || model), `"model_to_base"`
            for KL(model || base).
        seed: seed of the order of the passages.

    Raises:
        ValueError: an argument is out of its range.

    Example:

    ```python
    anchor = keras_grow.KLAnchor(wiki_passages, weight=2.0)
    keras_grow.add_anchor(lm, anchor)
    lm.fit(task_data)  # logs task_loss and anchor_loss
    ```
    """

    def __init__(
        self,
        passages: Sequence[str]
        | Sequence[Sequence[int]]
        | dict[str, np.ndarray],
        *,
        weight: float = 1.0,
        top_k: int = 64,
        batch_size: int = 4,
        length: int = 64,
        direction: Direction = "base_to_model",
        seed: int = 0,
    ) -> None:
        if not check_float(weight, "weight") > 0:
            raise ValueError(
                f"`weight` must be positive. Received: weight={weight}. To "
                "train without an anchor, pass none."
            )
        if direction not in DIRECTIONS:
            raise ValueError(
                f"`direction` must be one of {DIRECTIONS}. Received: "
                f"direction={direction!r}"
            )
        if len(passages) == 0:
            raise ValueError(
                "`passages` must hold at least one passage. Received: "
                f"passages={passages!r}"
            )
        self.passages = passages
        self.weight = weight
        self.top_k = check_int(top_k, "top_k", 1)
        self.batch_size = check_int(batch_size, "batch_size", 1)
        self.length = check_int(length, "length", 1)
        self.direction = direction
        self.seed = seed
        self.arrays: dict[str, Any] = {}
        # Of the base that made the arrays; empty for any.
        self.base = ""
        self._known: KnownModel | None = None

    @classmethod
    def from_model(
        cls,
        lm: keras.Model,
        num_passages: int = 64,
        length: int = 64,
        temperature: float = 1.0,
        seed: int = 0,
        start_token_id: int | None = None,
        top_k: int = 64,
        **options: Unpack[Options],
    ) -> Self:
        """Anchor a model to text that its base writes itself.

        Use it if you have no general text: passages are sampled from the base,
        beginning with the start token.

        Args:
            lm: the KerasHub model that will be trained.
            num_passages: number of passages to write.
            length: tokens of a passage, the start token included. A passage
                in which the base stops is shorter.
            temperature: what the logits are divided by. 1 samples from the
                base as it is.
            seed: seed of the sampling and of the order of the passages.
            start_token_id: the first token. None takes the tokenizer's.
            top_k: as for `KLAnchor`.
            **options: `weight`, `batch_size` and `direction` as for
                `KLAnchor`.

        Returns:
            An anchor with `num_passages` passages.

        Raises:
            ValueError: `start_token_id` is None and `lm` has no tokenizer.

        Example:

        ```python
        anchor = keras_grow.KLAnchor.from_model(lm, weight=2.0)
        ```
        """
        with as_base(lm):
            passages = write_passages(
                lm, num_passages, length, temperature, seed, start_token_id
            )
        return cls(passages, length=length, seed=seed, top_k=top_k, **options)

    def prepare(self, lm: keras.Model) -> Self:
        """Compute the base's predictions, unless they are there already.

        An anchor belongs to that base, and to that model while it trains.

        Args:
            lm: the KerasHub model that will be trained, before it is.

        Returns:
            The anchor itself.

        Raises:
            ValueError: the passages or `top_k` do not fit the model, or the
                anchor was prepared with another base.
        """
        backbone = backbone_of(lm)
        size = OutputHead(lm).vocabulary_size
        if self.top_k > size:
            raise ValueError(
                f"`top_k` must not exceed the model's vocabulary of {size}. "
                f"Received: top_k={self.top_k}"
            )
        if self.arrays:
            tokens = max(self.arrays[n].max() for n in ("token_ids", "indices"))
            if tokens >= size:
                raise ValueError(
                    "Expected a model with the vocabulary that the anchor was "
                    f"prepared with, which has token {tokens}. Received: a "
                    f"vocabulary of {size} tokens."
                )
            # Its own weights may have moved since.
            if self._known is None or not self._known.is_still(backbone):
                self._check_base(backbone)
            return self
        inputs = token_arrays(self.passages, lm, self.length)
        if (highest := inputs["token_ids"].max()) >= size:
            raise ValueError(
                "`passages` must hold ids of the model's vocabulary of "
                f"{size}. Received: {highest}"
            )
        if not inputs["padding_mask"].any(axis=1).all():
            raise ValueError(
                "Expected at least one token in each passage. Received: an "
                "empty one. Leave it out."
            )
        inputs = shuffled(inputs, self.seed)
        self.arrays = {**inputs, **base_predictions(lm, inputs, self.top_k)}
        self.base = fingerprint_as_base(backbone)
        self._known = KnownModel(backbone)
        return self

    def _check_base(self, backbone: keras.Model) -> None:
        """Refuse a base other than that of the predictions."""
        if self.base and fingerprint_as_base(backbone) != self.base:
            raise ValueError(
                "Expected the base that the anchor was prepared with. "
                "Received: a model whose base has other weights, or whose "
                "growth lies on other growths. Make an anchor of the same "
                "passages. For the same base in another dtype, or trained "
                "since: save it, `KLAnchor.load(path, check_base=False)`."
            )
        self._known = KnownModel(backbone)

    @property
    def nbytes(self) -> int:
        """Bytes that the kept predictions and the passages take."""
        return sum(array.nbytes for array in self.arrays.values())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the passages and the base's predictions to a file.

        Args:
            path: the file, customarily `*.anchor.safetensors`. It is written
                whole or not at all.

        Raises:
            ValueError: nothing has been computed yet.
            OSError: the file cannot be written.
        """
        if not self.arrays:
            raise ValueError(
                "Expected an anchor whose predictions are computed. Call "
                "`anchor.prepare(lm)` first."
            )
        save_tensors(self.arrays, Path(path), anchor_file.metadata(self.base))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        check_base: bool = True,
        **options: Unpack[Options],
    ) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file.
            check_base: whether to accept only the base that the anchor was
                prepared with, in the same dtype, bit for bit. With `False` the
                base may have another dtype or have trained since. Defaults to
                `True`.
            **options: `weight`, `batch_size` and `direction` as for
                `KLAnchor`.

        Returns:
            An anchor that needs no base to compute its predictions.

        Raises:
            ValueError: the file is not an anchor's, or has contents that are
                not valid.
            OSError: the file cannot be read.
        """
        arrays, base = anchor_file.read_anchor(path)
        passages = {
            name: arrays[name] for name in ("token_ids", "padding_mask")
        }
        anchor = cls(passages, top_k=arrays["indices"].shape[-1], **options)
        anchor.arrays = arrays
        anchor.base = base if check_base else ""
        return anchor

"""The states below what trains, which never change, computed once."""

import hashlib
import os
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.growth.compiled import compiled_names
from keras_grow.growth.compiled import models_in
from keras_grow.growth.compiled import switch_state
from keras_grow.growth.in_fit import check_readable
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.fingerprint import growth_fingerprint
from keras_grow.training.cut import MASK
from keras_grow.training.cut import STATES
from keras_grow.training.cut import Cut
from keras_grow.training.lengths import choose_lengths
from keras_grow.training.lengths import length_for
from keras_grow.training.lengths import row_lengths
from keras_grow.training.on_disk import on_disk
from keras_grow.training.stored_states import STORED
from keras_grow.training.stored_states import StoredStates


class LowerStates:
    """The hidden states of each row below the lowest block that trains.

    If only the last blocks are grown, everything below the lowest grown block
    is constant for each row. It is computed here in one pass and kept on disk.
    Then the top is trained alone, with the usual `fit` and the losses and
    gradients of the whole model. The top shares its layers with the model, so
    the model learns what the top learns.

    The pass costs what the lower blocks would cost in one epoch. The file is
    named after a fingerprint of the weights and the rows, so a later run finds
    it again.

    A penalty that reads other rows, such as `KLAnchor`, needs the whole model.

    Args:
        lm: a KerasHub `CausalLM`, its lowest blocks frozen, of a family whose
            blocks read hidden states and the padding mask: Gemma, Gemma 3
            without images, Llama, Mistral, Qwen and similar ones.
        x: the rows, `{"token_ids": [N, S], "padding_mask": [N, S]}`, as
            `keras_grow.tasks.encode` makes them.
        folder: where to keep the file.
        dtype: `"float32"` or `"bfloat16"`, half the size. Defaults to `None`:
            the model's compute dtype, or float32 for float16.

    Attributes:
        block: index of the lowest block that trains.
        path: the file.

    Raises:
        TypeError: `lm` is not a causal language model.
        ValueError: no states can be kept, or `x` or `dtype` is not one of the
            above.

    Example:

    ```python
    keras_grow.grow_model(lm, layers=4)
    x, y, sample_weight = keras_grow.tasks.encode(examples, tokenizer)
    states = keras_grow.LowerStates(lm, x, "states")
    print(f"{states.nbytes / 1e9:.2f} GB")
    top = states.write().top()
    top.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    keras_grow.supervised_logits(top)
    top.fit(keras_grow.LengthBuckets(states.x, y, sample_weight), epochs=3)
    lm.generate("What it learned:")
    ```
    """

    def __init__(
        self,
        lm: keras.Model,
        x: Mapping[str, Any],
        folder: str | os.PathLike[str],
        dtype: str | None = None,
    ) -> None:
        self._cut = Cut(lm)
        self._top: keras.Model | None = None
        self.block = self._cut.block
        if dtype is None:
            dtype = "bfloat16" if self._cut.dtype == "bfloat16" else "float32"
        if dtype not in STORED:
            raise ValueError(
                'Expected `dtype` to be "float32" or "bfloat16". '
                f"Received: dtype={dtype!r}"
            )
        self._rows = _checked(x)
        self.path = Path(folder) / f"{self._fingerprint(dtype)}.npy"
        mask = self._rows[MASK]
        self._stored = StoredStates(
            self.path, row_lengths(mask), mask.shape[1], self._cut.width, dtype
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the file takes, or will take."""
        return self._stored.nbytes

    @property
    def written(self) -> bool:
        """Whether the file is there."""
        return self.path.is_file()

    @property
    def x(self) -> dict[str, Any]:
        """What `LengthBuckets` takes: states, read as needed, and the mask."""
        return {STATES: self._stored, MASK: self._rows[MASK]}

    def write(self, batch_size: int = 8, lengths: int = 4) -> Self:
        """Compute the states of every row, unless the file is there.

        Args:
            batch_size: rows that the lower blocks read at a time.
            lengths: the maximum number of lengths that rows are padded to.

        Returns:
            The object itself.

        Raises:
            ValueError: the weights of the lower blocks, or the dial, are not
                those that the file is named after.
            OSError: there is not enough room, or the file cannot be written.
        """
        if not self.written:
            if self._fingerprint(self._stored.dtype) != self.path.stem:
                raise ValueError(
                    "Expected the model as it was when `LowerStates` was made: "
                    "the file is named after its weights and its dial. "
                    "Received: a model that has changed below block "
                    f"{self.block}. Make `LowerStates` again."
                )
            self._stored.write(self._batches(batch_size, lengths))
        return self

    def top(self) -> keras.Model:
        """The blocks above and the head, a model of hidden states.

        Returns:
            A Keras model, made once and not compiled, that shares its layers
            with `lm`.
        """
        if self._top is None:
            self._top = self._cut.top()
        return self._top

    @contextmanager
    def below_on_disk(self) -> Iterator[None]:
        """Free the memory of the weights that the top does not need.

        Inside the `with` block they are in `folder`, and `lm` must not be used.
        So a top can be trained where the whole model would not leave enough
        memory. At the end `lm` is whole again.

        A tied embedding is part of the top, because the logits are made from
        it; the input embedding of an untied pair is not.

        Raises:
            OSError: the disk is full.

        Example:

        ```python
        top = states.write().top()
        with states.below_on_disk():
            top.fit(data)
        ```
        """
        above = {id(variable) for variable in self.top().variables}
        for part in [*models_in(self._cut.lm), self._cut.lower]:
            # On TensorFlow these hold the weights.
            for name in compiled_names(part):
                setattr(part, name, None)
        backbone = self._cut.state.backbone
        below = [v for v in backbone.variables if id(v) not in above]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with on_disk(below, self.path.parent):
            yield

    def _batches(
        self, batch_size: int, count: int
    ) -> Iterator[tuple[NDArray[Any], Any]]:
        """Rows, and the states that enter the lowest block that trains."""
        rows = row_lengths(self._rows[MASK])
        lengths = choose_lengths(rows, count, longest=self._stored.shape[1])
        bucket = length_for(lengths, rows)
        for number, length in enumerate(lengths):
            (members,) = np.nonzero(bucket == number)
            for start in range(0, len(members), batch_size):
                some = members[start : start + batch_size]
                # A full batch each time: one shape for each length.
                full = np.resize(some, batch_size)
                batch = {n: a[full, :length] for n, a in self._rows.items()}
                yield some, self._cut.lower.predict_on_batch(batch)

    def _fingerprint(self, dtype: str) -> str:
        """Digest of everything that the states depend on."""
        cut, state = self._cut, self._cut.state
        check_readable(cut.lm, "LowerStates")
        below = [
            (name, growth_fingerprint(state, name), state.scales[name])
            for name, growth in zip(state.names, state.growths, strict=True)
            if min(growth.layers) < cut.block
        ]
        digest = hashlib.sha256()
        parts = (
            base_fingerprint(cut.lm),
            below,
            switch_state(cut.lower),
            (cut.block, cut.dtype, dtype),
        )
        digest.update(repr(parts).encode())
        for name, array in sorted(self._rows.items()):
            digest.update(f"{name} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]


def _checked(x: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    names = {"token_ids": "int32", MASK: "bool"}
    if set(x) != set(names):
        raise ValueError(
            f"Expected `x` to hold {sorted(names)}. Received: x with "
            f"{sorted(x)}"
        )
    rows = {name: np.asarray(x[name]).astype(d) for name, d in names.items()}
    shapes = {name: array.shape for name, array in rows.items()}
    if (
        len({*shapes.values()}) != 1
        or rows[MASK].ndim != 2
        or not len(rows[MASK])
    ):
        raise ValueError(
            "Expected token ids and a mask of the same rows and positions, "
            f"[N, S], at least one row. Received: {shapes}"
        )
    return rows

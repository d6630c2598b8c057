"""Batches of rows of similar length, in a few static shapes."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_grow.files.checked_json import check_int
from keras_grow.training.drawing import check_loop
from keras_grow.training.drawing import reads_shapes
from keras_grow.training.lengths import choose_lengths
from keras_grow.training.lengths import compiles_lengths
from keras_grow.training.lengths import example_order
from keras_grow.training.lengths import length_for
from keras_grow.training.lengths import row_lengths

Rows = NDArray[np.int64]


class LengthBuckets(keras.utils.PyDataset):
    """Rows in batches of similar length, each cut to the length it needs.

    Padding costs as much as tokens. Here a row shares its batch with rows of
    similar length, and every batch has one of a few lengths, so that few shapes
    are compiled. For each epoch, rows are shuffled within a length and then
    batches are shuffled, in an order that depends on `seed` and the epoch
    alone. Each row occurs once per epoch. The last batch is filled up with rows
    of weight zero, so that it needs no shape of its own.

    Each call of `fit` continues with the next epoch. To resume in a new
    process, pass `initial_epoch`, or let a callback set `epoch`:
    `keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs:
    setattr(data, "epoch", epoch))`. For epochs of fewer batches pass
    `steps_per_epoch` here, not to `fit`, which would begin each epoch with the
    same rows and is refused.

    `evaluate` and `validation_data` need `shuffle=False` and refuse other
    buckets: over batches of several lengths Keras cannot average loss and
    metrics rightly.

    Args:
        x: inputs by name, arrays `[N, S, ...]`, a `padding_mask` among them,
            as `keras_grow.tasks.encode` makes them.
        y: next tokens, `[N, S]`.
        sample_weight: weights of the positions, `[N, S]`.
        batch_size: rows of a batch. Defaults to 8.
        lengths: the maximum number of lengths, or the lengths themselves. Given
            a number, the lengths that pad least are chosen, in multiples of 8.
            Defaults to `None`: 4, but every length that occurs on PyTorch,
            which compiles nothing.
        seed: seed of the order. Defaults to 0.
        group: whether rows of similar length share a batch. With `False`, each
            update has the examples that it would have without buckets, and only
            the padding that none of them needs is cut. Defaults to `True`.
        same_loss: whether to scale the weights so that Keras' default
            reduction, which divides by all positions of a batch, gives each
            token the share that it has in rows of S positions. Pass `False`
            for a loss with another reduction. Defaults to `True`.
        initial_epoch: number of the first epoch. Defaults to 0.
        updates: the first update and the one after the last, counted through
            all epochs: draw these instead of an epoch. Defaults to `None`.
        steps_per_epoch: batches of an epoch; the next epoch goes on where this
            one ends. Defaults to `None`, every row once.
        shuffle: with `False`, rows in their order, all cut to the longest,
            and a last batch that may be smaller. Loss and weighted metrics of
            `evaluate` are then those of the arrays, with Keras' default
            reduction. Defaults to `True`.

    Attributes:
        lengths: the lengths, ascending.
        epoch: number of the current epoch.

    Raises:
        ValueError: if the arrays have different numbers of rows or positions,
            there is no padding mask, or an argument is out of range. Raised by
            `fit`, if it has a `steps_per_epoch` of its own, and by `evaluate`
            without `shuffle=False`.

    Example:

    ```python
    x, y, sample_weight = keras_grow.tasks.encode(examples, tokenizer)
    data = keras_grow.LengthBuckets(x, y, sample_weight, batch_size=8)
    print(data.lengths, data.padding_share)
    # The rows are tokens already: no preprocessor is needed.
    keras.Model.fit(lm, data, epochs=3)
    ```
    """

    def __init__(
        self,
        x: Mapping[str, Any],
        y: NDArray[Any],
        sample_weight: NDArray[Any],
        batch_size: int = 8,
        lengths: int | Sequence[int] | None = None,
        seed: int = 0,
        group: bool = True,
        same_loss: bool = True,
        initial_epoch: int = 0,
        updates: tuple[int, int] | None = None,
        steps_per_epoch: int | None = None,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        shape = np.shape(y)
        _check_arrays({**x, "sample_weight": sample_weight}, shape)
        if updates is not None and not 0 <= updates[0] < updates[1]:
            raise ValueError(
                "Expected `updates` to be a first update and a later one. "
                f"Received: updates={updates}"
            )
        if steps_per_epoch is not None:
            check_int(steps_per_epoch, "steps_per_epoch", 1)
        chosen = [updates, steps_per_epoch, None if shuffle else "all rows"]
        if sum(each is not None for each in chosen) > 1:
            raise ValueError(
                "Expected one of `updates`, `steps_per_epoch` and "
                f"`shuffle=False`. Received: updates={updates}, "
                f"steps_per_epoch={steps_per_epoch}, shuffle={shuffle}"
            )
        self.x, self.y, self.sample_weight = dict(x), y, sample_weight
        self.batch_size = check_int(batch_size, "batch_size", 1)
        self.seed = check_int(seed, "seed", 0)
        self.group = group
        self.same_loss = same_loss
        self.epoch = check_int(initial_epoch, "initial_epoch", 0)
        self.updates = updates
        self.steps_per_epoch = steps_per_epoch
        self.shuffle = shuffle
        self._rows = row_lengths(x["padding_mask"], sample_weight)
        self.lengths = _lengths(lengths, self._rows, shape[1])
        if not shuffle:
            # Of the batches of one length alone, means are right.
            self.lengths = self.lengths[-1:]
        self._plans: dict[int, list[Rows]] = {}
        # Batches drawn from the current epoch, or None between epochs.
        self._drawn: int | None = None

    def __len__(self) -> int:
        if self.updates is not None:
            return self.updates[1] - self.updates[0]
        return self.steps_per_epoch or self._per_epoch

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any, Any]:
        """The next batch while `fit` draws an epoch, or number `index`."""
        if reads_shapes():
            # Keras reads the first two batches, and expects their length of
            # every batch if both have the same.
            ends = (self.lengths[0], self.lengths[-1])
            return self._cut(self.rows(index), ends[index % 2])
        if self._drawn is not None:
            # `fit` shuffles the indices unless told not to; the order is set
            # here.
            index = self._drawn
            self._drawn += 1
        elif index >= len(self):
            # With this Python ends a `for` loop over the batches.
            raise IndexError(
                f"Expected a batch below {len(self)}. Received: {index}"
            )
        return self.batch(index)

    def batch(self, index: int) -> tuple[dict[str, Any], Any, Any]:
        """Batch number `index`, whatever `fit` has drawn so far."""
        rows = self.rows(index)
        length = self.lengths[int(length_for(self.lengths, self._needed(rows)))]
        return self._cut(rows, length)

    def rows(self, index: int) -> Rows:
        """Which rows are in batch number `index`, without the filling."""
        size, count = self.batch_size, len(self._rows)
        if not self.shuffle:
            return np.arange(index * size, min((index + 1) * size, count))
        number = self._first + index
        if self.group:
            epoch, place = divmod(number, self._per_epoch)
            return self._plan(epoch)[place]
        if self.updates or self.steps_per_epoch:
            return example_order(count, self.seed, number * size, size)
        first, left = index * size, count - index * size
        first += self.epoch * count
        return example_order(count, self.seed, first, min(size, left))

    @property
    def _first(self) -> int:
        """Number of the current epoch's first batch, through all epochs."""
        if self.updates:
            return self.updates[0]
        return self.epoch * len(self)

    def _needed(self, rows: Rows) -> int:
        """Positions that the longest of the rows needs."""
        return int(self._rows[rows].max())

    @property
    def padding_share(self) -> float:
        """Share of the current epoch's positions that are padding."""
        batches = [self.rows(index) for index in range(len(self))]
        needed = [self._needed(rows) for rows in batches]
        lengths = np.array(self.lengths)[length_for(self.lengths, needed)]
        used = sum(int(self._rows[rows].sum()) for rows in batches)
        return 1.0 - used / float(lengths.sum() * self.batch_size)

    def on_epoch_begin(self) -> None:
        """Keras begins to draw an epoch."""
        check_loop(LengthBuckets, self.shuffle, len(self))
        self._drawn = 0

    def on_epoch_end(self) -> None:
        """Move to the next epoch if this one was drawn to its end."""
        # Keras also ends an epoch after one batch, when it only builds.
        self.epoch += self._drawn == len(self)
        self._drawn = None

    @property
    def _per_epoch(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    def _plan(self, epoch: int) -> list[Rows]:
        """The batches of an epoch, rows of similar length together."""
        if epoch not in self._plans:
            rng = np.random.default_rng([self.seed, epoch])
            order = rng.permutation(len(self._rows))
            bucket = length_for(self.lengths, self._rows[order])
            batches: list[Rows] = []
            rest = order[:0]
            for number in range(len(self.lengths)):
                # Rows that do not fill a batch move to the next length.
                rest = np.concatenate([rest, order[bucket == number]])
                full = len(rest) // self.batch_size * self.batch_size
                batches += list(rest[:full].reshape(-1, self.batch_size))
                rest = rest[full:]
            if len(rest):
                batches.append(rest)
            self._plans = {
                epoch: [batches[i] for i in rng.permutation(len(batches))]
            }
        return self._plans[epoch]

    def _cut(self, rows: Rows, length: int) -> tuple[dict[str, Any], Any, Any]:
        """Some rows as a batch of one length."""
        real = len(rows)
        size = self.batch_size if self.shuffle else real
        rows = np.concatenate([rows, np.repeat(rows[:1], size - real)])
        x = {name: values[rows, :length] for name, values in self.x.items()}
        weights = np.array(self.sample_weight[rows, :length], dtype="float32")
        weights[real:] = 0.0
        if self.same_loss:
            weights *= size * length / (real * self.sample_weight.shape[1])
        return x, self.y[rows, :length], weights


def _lengths(
    lengths: int | Sequence[int] | None, rows: Rows, longest: int
) -> tuple[int, ...]:
    if lengths is None:
        if not compiles_lengths():
            return tuple(int(length) for length in np.unique(rows))
        lengths = 4
    if not isinstance(lengths, Iterable):
        count = check_int(lengths, "lengths", 1)
        return choose_lengths(rows, count, longest=longest)
    chosen = tuple(sorted({check_int(n, "lengths", 1) for n in lengths}))
    if not chosen or not rows.max() <= chosen[-1] <= longest:
        raise ValueError(
            "Expected `lengths` of which the last holds the longest row, "
            f"{int(rows.max())} positions, and is at most {longest}. "
            f"Received: lengths={lengths}"
        )
    return chosen


def _check_arrays(arrays: dict[str, Any], shape: tuple[int, ...]) -> None:
    if "padding_mask" not in arrays:
        raise ValueError(
            "Expected `x` to hold arrays by name, a `padding_mask` among "
            f"them. Received: x with {sorted(arrays)}"
        )
    shapes = {name: tuple(np.shape(array)) for name, array in arrays.items()}
    if len(shape) != 2 or any(s[:2] != shape for s in shapes.values()):
        raise ValueError(
            "Expected arrays of the same rows and positions as `y`, [N, S]. "
            f"Received: y of shape {shape}, {shapes}"
        )
    if not shape[0]:
        raise ValueError("Expected at least one row. Received: none.")

"""Passes of a model over pieces of a prompt and over single tokens."""

import contextlib
import functools
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import keras_hub
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.evaluation.compiled import PerState
from keras_grow.evaluation.pass_functions import Functions
from keras_grow.evaluation.pass_functions import functions_of
from keras_grow.evaluation.pass_functions import int32
from keras_grow.evaluation.reading import State
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.locks import lock_of
from keras_grow.growth.rows import rows_computed
from keras_grow.growth.state import growths_of
from keras_grow.growth.switch import growth_disabled
from keras_grow.keras_internals import cache_of
from keras_grow.training.head import OutputHead


@dataclass(eq=False)
class Rows:
    """What is read together: the scales of each row.

    `functions` were compiled for the `growths` of the last pass. To find them
    takes a walk over all layers, too long for every token.
    """

    states: Sequence[State]
    growths: tuple[GrowthConfig, ...] = ()
    functions: Functions | None = None


@dataclass(frozen=True)
class _Part:
    """A tensor of a cache: its shape with one row and two tokens."""

    shape: tuple[int, ...]
    dtype: str
    tokens: int | None  # The axis of tokens; a state has none.

    def zeros(self, rows: int, length: int) -> Any:
        """The same, empty, for some rows and tokens."""
        shape = [rows, *self.shape[1:]]
        if self.tokens is not None:
            shape[self.tokens] = length
        return ops.zeros(shape, self.dtype)


class Passes:
    """What a `Streamer` computes: every row of a batch has its own dials.

    Each pass locks the backbone, which several may share. `piece` tokens of a
    prompt are read at a time.
    """

    def __init__(self, lm: keras.Model, max_length: int, piece: int) -> None:
        self.lm = lm
        self.max_length = max_length
        self.piece = piece
        self._head = OutputHead(lm)
        self._functions = PerState(lm.backbone, self._compile)

    @functools.cached_property
    def pads(self) -> bool:
        """Whether a piece may hold padding after its tokens.

        What is kept of it is written over later, except in a state that goes
        on from token to token, such as that of linear attention.
        """
        return self._parts is None or all(
            part.tokens is not None for part in keras.tree.flatten(self._parts)
        )

    @functools.cached_property
    def _parts(self) -> Any:
        """What a cache is made of; None where its shape is known."""
        if isinstance(self.lm, keras_hub.models.Gemma3CausalLM):
            return None
        return _parts(self.lm)

    def together(self, states: Sequence[State]) -> Rows:
        """Rows in these states, to be read together."""
        return Rows(list(states))

    def empty_cache(self, rows: int) -> Any:
        """A cache of no token, as `call_with_cache` takes it."""
        if self._parts is None:
            backbone, dtype = self.lm.backbone, self.lm.compute_dtype
            heads, size = backbone.num_key_value_heads, backbone.head_dim
            shape = (rows, self.max_length, heads, size)
            return tuple(
                (ops.zeros(shape, dtype), ops.zeros(shape, dtype))
                for _ in backbone.transformer_layers
            )
        return keras.tree.map_structure(
            lambda part: part.zeros(rows, self.max_length), self._parts
        )

    def read(
        self,
        tokens: NDArray[np.int32],
        start: int,
        cache: Any,
        rows: Rows,
    ) -> tuple[Any, Any]:
        """Read a piece `[rows, piece]` that begins at `start`."""
        with self._held(rows) as (functions, scales):
            # Apart: TensorFlow would make one program of both lengths.
            one = tokens.shape[1] == 1
            read = functions.read_one if one else functions.read
            result: tuple[Any, Any] = read(
                int32(tokens), cache, int32(start), scales
            )
            return result

    def step(
        self,
        tokens: Sequence[int],
        index: int,
        cache: Any,
        rows: Rows,
    ) -> tuple[Any, Any, Any]:
        """Logits `[rows, vocabulary]` after the tokens at `index`.

        With the logarithms of the sums of their exponentials, and the cache.
        """
        with self._held(rows) as (functions, scales):
            logits, totals, cache = functions.step(
                int32([[token] for token in tokens]),
                cache,
                int32(index),
                scales,
            )
            logits = np.asarray(ops.convert_to_numpy(logits))
            return logits, np.asarray(ops.convert_to_numpy(totals)), cache

    def write(
        self,
        tokens: Sequence[int],
        index: int,
        count: int,
        cache: Any,
        rows: Rows,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], Any]:
        """Write the likeliest tokens after those at `index`.

        Several in one call: what a program does with the weights before it
        multiplies by them is then done once for all of them. Token ids and
        log-likelihoods are `[rows, count]`.
        """
        with self._held(rows) as (functions, scales):
            ids, logprobs, cache = functions.write(
                int32([[token] for token in tokens]),
                cache,
                int32(index),
                int32(count),
                scales,
            )
            ids, logprobs = map(ops.convert_to_numpy, (ids, logprobs))
            return ids[:, :count], logprobs[:, :count], cache

    def score(self, hidden: Any, targets: NDArray[np.int32]) -> Any:
        """Log-likelihood of a target at each place of a piece `[1, piece]`."""
        # The head is the base's in every state.
        with self._held(Rows([{}])) as (functions, _):
            return functions.logprobs(hidden, int32(targets))

    @contextlib.contextmanager
    def _held(self, rows: Rows) -> Iterator[tuple[Functions, Any]]:
        """The model for one thread alone, and scales `[rows, growths]`."""
        states, growths = rows.states, growths_of(self.lm)
        names = [growth.name for growth in growths]
        gone = {name for own in states for name in own} - {*names}
        if gone:
            raise ValueError(
                "Expected the growths that an answer began with to stay. "
                f"Received: {sorted(gone)}, which were removed meanwhile. "
                "Begin the answer again."
            )
        scales = [[own.get(name, 0.0) for name in names] for own in states]
        with lock_of(self.lm.backbone), contextlib.ExitStack() as held:
            if any(states):
                held.enter_context(rows_computed(self.lm, states))
            elif names:
                held.enter_context(growth_disabled(self.lm))
            if rows.functions is None or rows.growths != growths:
                rows.functions = self._functions.get()
                rows.growths = growths
            yield (
                rows.functions,
                ops.convert_to_tensor(
                    np.reshape(scales, (len(states), len(names))), "float32"
                ),
            )

    def _compile(self) -> Functions:
        return functions_of(self.lm, self._head, self.max_length)


class _CacheOf(keras.Operation):
    """The cache of a prompt, of which only the shapes are asked."""

    def __init__(self, lm: keras.Model) -> None:
        super().__init__()
        self._lm = lm

    def call(self, token_ids: Any) -> Any:
        return cache_of(self._lm, token_ids)


def _parts(lm: keras.Model) -> Any:
    """What a cache is made of, by comparing those of two and three tokens."""
    two, three = [
        _CacheOf(lm).compute_output_spec(
            keras.KerasTensor((1, length), "int32")
        )
        for length in (2, 3)
    ]

    def part(few: Any, more: Any) -> _Part:
        differ = [a != b for a, b in zip(few.shape, more.shape, strict=True)]
        return _Part(
            tuple(few.shape),
            keras.backend.standardize_dtype(few.dtype),
            differ.index(True) if any(differ) else None,
        )

    return keras.tree.map_structure(part, two, three)

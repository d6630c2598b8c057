"""Passes of a model over pieces of a prompt and over single tokens."""

import contextlib
import threading
from collections.abc import Callable
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
from keras_grow.evaluation.compiled import compile_over
from keras_grow.evaluation.reading import State
from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.rows import row_scales
from keras_grow.growth.rows import rows_computed
from keras_grow.growth.state import grown_state
from keras_grow.growth.state import growths_of
from keras_grow.growth.switch import growth_disabled
from keras_grow.keras_internals import cache_of
from keras_grow.training.head import OutputHead


@dataclass(frozen=True)
class _Functions:
    """What is compiled for one state of a model."""

    read: Callable[..., Any]
    step: Callable[..., Any]
    logprobs: Callable[..., Any]


@dataclass(eq=False)
class Rows:
    """What is read together.

    Attributes:
        states: the scales of each row.
        growths: those that the model had at the last pass.
        functions: what was compiled for them. To find it takes a walk over
            all layers, too long for every token.
    """

    states: Sequence[State]
    growths: tuple[GrowthConfig, ...] = ()
    functions: _Functions | None = None


class Passes:
    """What a `Streamer` computes: every row of a batch has its own dials.

    Each pass locks the model.

    Args:
        lm: the model.
        max_length: tokens that a cache holds.
        piece: tokens of a prompt that are read at a time.
    """

    def __init__(self, lm: keras.Model, max_length: int, piece: int) -> None:
        self.lm = lm
        self.max_length = max_length
        self.piece = piece
        self._head = OutputHead(lm)
        self._cache_shape: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self._functions = PerState(lm.backbone, self._compile)

    def together(self, states: Sequence[State]) -> Rows:
        """Rows in these states, to be read together."""
        return Rows(list(states))

    def empty_cache(self, rows: int) -> Any:
        """A cache of no token, as `call_with_cache` takes it."""
        backbone, dtype = self.lm.backbone, self.lm.compute_dtype
        if isinstance(self.lm, keras_hub.models.Gemma3CausalLM):
            heads, size = backbone.num_key_value_heads, backbone.head_dim
            shape = (rows, self.max_length, heads, size)
            return tuple(
                (ops.zeros(shape, dtype), ops.zeros(shape, dtype))
                for _ in backbone.transformer_layers
            )
        if self._cache_shape is None:
            # Of two tokens: `(1, blocks, 2, 2, heads, head_dim)`.
            cache = cache_of(self.lm, ops.zeros((1, 2), "int32"))
            shape = tuple(cache.shape)
            self._cache_shape = (*shape[:3], self.max_length, *shape[4:])
        return ops.zeros((rows, *self._cache_shape[1:]), dtype)

    def read(
        self,
        tokens: NDArray[np.int32],
        start: int,
        cache: Any,
        rows: Rows,
    ) -> tuple[Any, Any]:
        """Read a piece `[rows, piece]` that begins at `start`."""
        with self._held(rows) as (functions, scales):
            result: tuple[Any, Any] = functions.read(
                _int32(tokens), cache, _int32(start), scales
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
                _int32([[token] for token in tokens]),
                cache,
                _int32(index),
                scales,
            )
            logits = np.asarray(ops.convert_to_numpy(logits))
            return logits, np.asarray(ops.convert_to_numpy(totals)), cache

    def score(self, hidden: Any, targets: NDArray[np.int32]) -> Any:
        """Log-likelihood of a target at each place of a piece `[1, piece]`."""
        # The head is the base's in every state.
        with self._held(Rows([{}])) as (functions, _):
            return functions.logprobs(hidden, _int32(targets))

    @contextlib.contextmanager
    def _held(self, rows: Rows) -> Iterator[tuple[_Functions, Any]]:
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
        with self._lock, contextlib.ExitStack() as held:
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

    def _compile(self) -> _Functions:
        names = len(growths_of(self.lm))
        grown = names and all(
            layer.growth_enabled for layer in grown_state(self.lm).grown_layers
        )

        def call(
            token_ids: Any, cache: Any, index: Any, scales: Any
        ) -> tuple[Any, ...]:
            with contextlib.ExitStack() as held:
                if grown:
                    held.enter_context(row_scales(self.lm, scales))
                outputs: tuple[Any, ...] = self.lm.call_with_cache(
                    token_ids, cache=cache, cache_update_index=index
                )
            return outputs

        def read(*arguments: Any) -> tuple[Any, Any]:
            _, hidden, cache = call(*arguments)
            return hidden, cache

        def step(*arguments: Any) -> tuple[Any, Any, Any]:
            logits, _, cache = call(*arguments)
            logits = ops.cast(logits[:, -1], "float32")
            return logits, ops.logsumexp(logits, axis=-1), cache

        def logprobs(hidden: Any, targets: Any) -> Any:
            logits = ops.cast(self._head(hidden[0]), "float32")
            chosen = ops.take_along_axis(logits, targets[:, None], axis=-1)
            return chosen[:, 0] - ops.logsumexp(logits, axis=-1)

        return _Functions(
            compile_over(read, self.lm),
            compile_over(step, self.lm),
            compile_over(logprobs, self.lm),
        )


def _int32(value: Any) -> Any:
    return ops.convert_to_tensor(value, "int32")

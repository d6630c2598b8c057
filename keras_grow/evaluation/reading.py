"""The keys and values of one prompt under several states of a model."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from keras_grow.evaluation.passes import Passes

# The scale of each growth by name; what is not named is off, `{}` the base.
State = Mapping[str, float]


class Reading:
    """Keys and values of one sequence of tokens, a row for each state."""

    def __init__(
        self,
        passes: "Passes",
        tokens: Sequence[int],
        states: Sequence[State],
    ) -> None:
        self._passes = passes
        self._tokens = list(tokens)
        self._rows = passes.together(states)
        self._cache: Any = None
        self._read = 0
        self._at = len(self._tokens) - 1

    @property
    def is_read(self) -> bool:
        """Whether all of the prompt but its last token has been read."""
        return self._read >= len(self._tokens) - 1

    def read_piece(self) -> Any:
        """Read a piece of the prompt, or one token where padding would count.

        The hidden states are `[rows, piece or 1, h]`.
        """
        piece = self._passes.piece
        part = self._tokens[:-1][self._read : self._read + piece]
        if len(part) < piece and not self._passes.pads:
            piece, part = 1, part[:1]
        padded = np.zeros((len(self._rows.states), piece), dtype="int32")
        padded[:, : len(part)] = part
        hidden, self._cache = self._passes.read(
            padded, self._read, self._held(), self._rows
        )
        self._read += piece
        return hidden

    def step(
        self, tokens: Sequence[int] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Read one more token per row; the first time, the prompt's last.

        Returns logits `[rows, vocabulary]` of what comes next, and the
        logarithm of the sum of their exponentials `[rows]`.
        """
        logits, total, self._cache = self._passes.step(
            self._last(tokens), self._at, self._held(), self._rows
        )
        self._at += 1
        return logits, total

    def write(
        self, count: int, tokens: Sequence[int] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Let each row write the likeliest tokens, after `tokens` as in `step`.

        Token ids and their log-likelihoods are both `[rows, count]`.
        """
        ids, logprobs, self._cache = self._passes.write(
            self._last(tokens), self._at, count, self._held(), self._rows
        )
        self._at += count
        return ids, logprobs

    def _last(self, tokens: Sequence[int] | None) -> Sequence[int]:
        while not self.is_read:
            self.read_piece()
        return tokens or [self._tokens[-1]] * len(self._rows.states)

    def close(self) -> None:
        """Free the keys and values."""
        self._cache = None

    def _held(self) -> Any:
        if self._cache is None:
            self._cache = self._passes.empty_cache(len(self._rows.states))
        return self._cache

"""One answer as it is written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

import numpy as np

from keras_grow.evaluation.decoding import detokenize
from keras_grow.evaluation.sampling import Sampling

if TYPE_CHECKING:
    from keras_grow.evaluation.streaming import Streamer


# Whether growth is on, and the scale of the dial; None leaves it.
State = tuple[bool, float | None]


class Stream:
    """One answer as it is written: an iterator over pieces of text.

    Attributes:
        text: what has been written so far.
        token_ids: its tokens, without those of the end token or stop text
            that ended it.
        finished: `"end"` after an end token, `"stop"` after a stop text,
            `"length"` after the most tokens; None before.
        cut: tokens that the prompt lost on its left.
    """

    def __init__(
        self,
        streamer: "Streamer",
        prompt: str,
        max_new_tokens: int,
        sampling: Sampling,
        stop: Sequence[str],
        state: State,
    ) -> None:
        self.text = ""
        self.token_ids: list[int] = []
        self.finished: str | None = None
        whole = streamer.encode(prompt)
        self._prompt = whole[-(streamer.max_length - max_new_tokens) :]
        self.cut = len(whole) - len(self._prompt)
        self._streamer = streamer
        self._max_new_tokens = max_new_tokens
        self._sampling = sampling
        self._rng = np.random.default_rng(sampling.seed)
        self._stop = tuple(stop)
        self._state = state
        self._cache: Any = None
        self._read = 0

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> str:
        """Write one token more; the text it adds, which may be empty.

        The first call reads the prompt.
        """
        if self.finished is not None:
            raise StopIteration
        if self._cache is None:
            self._read_prompt()
        sequence = self._prompt + self.token_ids
        logits, self._cache = self._streamer.step(
            sequence[-1], len(sequence) - 1, self._cache, self._state
        )
        token = self._sampling.choose(logits, self._rng)
        if token in self._streamer.ends:
            return self._finish("end", self._decoded())
        self.token_ids.append(token)
        text = self._decoded()
        # Many answers begin with a line break, which does not end them.
        begun = len(text) - len(text.lstrip())
        found = [text.find(mark, begun) for mark in self._stop]
        ends = [at for at in found if at >= 0]
        if ends:
            return self._finish("stop", text[: min(ends)])
        if len(self.token_ids) == self._max_new_tokens:
            return self._finish("length", text)
        return self._grow(text[: len(text) - self._unsure(text)])

    def _read_prompt(self) -> None:
        cache = self._streamer.empty_cache()
        before = self._prompt[:-1]
        for start in range(0, len(before), self._streamer.piece):
            _, cache = self._streamer.read(before, start, cache, self._state)
        self._cache = cache

    def _decoded(self) -> str:
        return detokenize(self._streamer.tokenizer, [self.token_ids])[0]

    def _finish(self, reason: str, text: str) -> str:
        self.finished, self._cache = reason, None
        while reason == "stop" and self.token_ids:
            *kept, last = self.token_ids
            self.token_ids = kept
            if len(self._decoded()) < len(text):
                self.token_ids = [*kept, last]
                break
        return self._grow(text)

    def _unsure(self, text: str) -> int:
        """How many last characters the next token may still take back."""
        # Half a character of several bytes, or half a stop text.
        halves = [len(text) - len(text.rstrip("\ufffd"))]
        for mark in self._stop:
            halves += [n for n in range(len(mark)) if text.endswith(mark[:n])]
        return max(halves)

    def _grow(self, text: str) -> str:
        new = text[len(self.text) :]
        self.text = text
        return new

"""Answers as they are written: one, or several to one prompt at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_grow.evaluation.decoding import detokenize
from keras_grow.evaluation.pass_functions import MOST
from keras_grow.evaluation.reading import Reading
from keras_grow.evaluation.sampling import Sampling

if TYPE_CHECKING:
    from keras_grow.evaluation.streaming import Streamer


class Written:
    """One answer so far.

    `token_ids` leave out the end token or stop text that ended it.
    `logprobs` has the log-likelihood of each new token in nats, `lengths` the
    characters of the text after it. `finished` is `"end"` after an end token,
    `"stop"` after a stop text, `"length"` at the limit of tokens; None before.
    `cut` counts the tokens that the prompt lost on its left.
    """

    def __init__(
        self,
        streamer: "Streamer",
        cut: int,
        max_new_tokens: int,
        sampling: Sampling,
        stop: Sequence[str],
        begun: Sequence[int],
    ) -> None:
        self.text = ""
        self.token_ids: list[int] = list(begun)
        self.logprobs: list[float] = []
        self.lengths: list[int] = []
        self.finished: str | None = None
        self.cut = cut
        self._streamer = streamer
        self._most = len(begun) + max_new_tokens
        self._sampling = sampling
        self._rng = np.random.default_rng(sampling.seed)
        # An answer that goes on draws what it would have drawn.
        self._rng.random(len(begun))
        self._stop = tuple(stop)
        self._grow(self._decoded() if begun else "")

    @property
    def left(self) -> int:
        """How many tokens it may still write."""
        return 0 if self.finished else self._most - len(self.token_ids)

    def choose(self, logits: NDArray[np.float32]) -> int:
        """The next token, drawn from its logits `[vocabulary]`."""
        return self._sampling.choose(logits, self._rng)

    def take(self, token: int, logprob: float) -> str:
        """Write a token and return the text it adds, which may be empty."""
        if token in self._streamer.ends:
            return self._finish("end", self._decoded())
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        text = self._decoded()
        self.lengths.append(len(text))
        # Many answers begin with a line break, which does not end them.
        begun = len(text) - len(text.lstrip())
        found = [text.find(mark, begun) for mark in self._stop]
        ends = [at for at in found if at >= 0]
        if ends:
            return self._finish("stop", text[: min(ends)])
        if len(self.token_ids) == self._most:
            return self._finish("length", text)
        return self._grow(text[: len(text) - self._unsure(text)])

    def _decoded(self) -> str:
        return detokenize(self._streamer.tokenizer, [self.token_ids])[0]

    def _finish(self, reason: str, text: str) -> str:
        self.finished = reason
        while reason == "stop" and self.token_ids:
            *kept, last = self.token_ids
            self.token_ids = kept
            if len(self._decoded()) < len(text):
                self.token_ids = [*kept, last]
                break
            self.logprobs = self.logprobs[:-1]
            self.lengths = self.lengths[:-1]
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


class Together:
    """Answers to one prompt by several states of a model, written at once.

    A token of each is one pass of the model over a batch, which on most
    machines costs little more than a pass for one. The likeliest tokens are
    computed a few ahead.
    """

    def __init__(
        self,
        reading: Reading,
        answers: Sequence[Written],
        sampling: Sampling,
    ) -> None:
        self.answers = list(answers)
        self._reading = reading
        self._greedy = sampling.temperature == 0.0
        # What each row wrote last, and what follows: one column per token.
        self._tokens: list[int] | None = None
        self._ahead: list[tuple[list[int], list[float]]] = []

    @property
    def is_read(self) -> bool:
        """Whether the prompt has been read; if not, `advance` reads first."""
        return self._reading.is_read

    @property
    def finished(self) -> bool:
        """Whether every answer has ended."""
        return all(each.finished is not None for each in self.answers)

    def read_piece(self) -> None:
        """Read the next piece of the prompt."""
        self._reading.read_piece()

    def advance(self) -> list[str]:
        """Write one token of every open answer; return the text of each."""
        if not self._ahead:
            self._ahead = self._computed()
        column = self._ahead.pop(0)
        added = [
            "" if each.finished else each.take(token, logprob)
            for each, token, logprob in zip(self.answers, *column, strict=True)
        ]
        if self.finished:
            self._reading.close()
        return added

    def _computed(self) -> list[tuple[list[int], list[float]]]:
        """The next tokens of every row; those of a row that ended are idle."""
        if self._greedy:
            # The first token should not wait for more.
            most = MOST if self._tokens else 1
            count = min(most, max(each.left for each in self.answers))
            ids, logprobs = self._reading.write(count, self._tokens)
        else:
            logits, totals = self._reading.step(self._tokens)
            chosen = [
                each.choose(row)
                for each, row in zip(self.answers, logits, strict=True)
            ]
            ids = np.array(chosen)[:, None]
            logprobs = np.take_along_axis(logits, ids, 1) - totals[:, None]
        self._tokens = ids[:, -1].tolist()
        return list(zip(ids.T.tolist(), logprobs.T.tolist(), strict=True))


class Stream:
    """One answer as it is written: an iterator over pieces of text.

    Attributes:
        answer: the answer so far.
    """

    def __init__(self, whole: Together) -> None:
        self._whole = whole
        (self.answer,) = whole.answers

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> str:
        """Write one more token; the text it adds, which may be empty.

        The first call reads the prompt.
        """
        if self.finished is not None:
            raise StopIteration
        return self._whole.advance()[0]

    @property
    def text(self) -> str:
        """What has been written so far."""
        return self.answer.text

    @property
    def token_ids(self) -> list[int]:
        """Its tokens."""
        return self.answer.token_ids

    @property
    def finished(self) -> str | None:
        """See `Written`."""
        return self.answer.finished

    @property
    def cut(self) -> int:
        """Tokens that the prompt lost on its left."""
        return self.answer.cut

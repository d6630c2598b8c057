"""Answers token by token, as they are written."""

from collections.abc import Sequence

import keras
import keras_hub
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.evaluation.decoding import end_tokens
from keras_grow.evaluation.passes import Passes
from keras_grow.evaluation.reading import Reading
from keras_grow.evaluation.reading import State
from keras_grow.evaluation.sampling import Sampling
from keras_grow.evaluation.stream import Stream
from keras_grow.evaluation.stream import Together
from keras_grow.evaluation.stream import Written
from keras_grow.evaluation.tokens import check_texts
from keras_grow.evaluation.tokens import cut_left
from keras_grow.growth.config import check_scales
from keras_grow.growth.lora import lora_variables
from keras_grow.growth.state import grown_state
from keras_grow.growth.state import growths_of
from keras_grow.growth.text_inputs import check_reads_text
from keras_grow.growth.text_inputs import within_positions
from keras_grow.keras_internals import has_cache
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.start_token import adds_start_token
from keras_grow.tasks.start_token import start_token


class Streamer:
    """A causal language model that yields its answers as it writes them.

    Prompts are read in pieces of one size and tokens are written into a cache
    of one size, so that there are few programs to compile, whatever the
    prompt: once for each set of growths that is computed, and for each number
    of answers that are written together. Greedy answers are computed up to
    eight tokens ahead, which takes less time for each.

    Several streams may be read alternately, or from several threads; each step
    locks the model. Do not change the model while a stream is open.

    Args:
        lm: a KerasHub `CausalLM` of text, grown or not, with a preprocessor,
            of any family that grows, except PaliGemma.
        max_length: the most tokens of prompt and answer together, rounded up
            to a multiple of `piece`. Longer prompts lose tokens on their
            left. Defaults to 512, or fewer if the model has fewer positions.
        piece: tokens of a prompt that are read at a time. Defaults to 32.

    Attributes:
        one_at_a_time: whether `together` takes only one state, as for Gemma 4,
            or for a grown model with LoRA, which the base is without.

    Raises:
        TypeError: if `lm` is not a model that continues from a cache.
        ValueError: if it takes more than text, such as images, has no
            preprocessor, or a size is not positive.

    Example:

    ```python
    from keras_grow.evaluation import Streamer

    for text in Streamer(lm).stream("The capital of France is", 8):
        print(text, end="", flush=True)
    ```
    """

    def __init__(
        self, lm: keras.Model, max_length: int = 512, piece: int = 32
    ) -> None:
        if not has_cache(lm):
            raise TypeError(
                "Expected `lm` to be a KerasHub CausalLM that continues from a "
                f"cache. Received: lm={lm!r}"
            )
        check_reads_text(lm.backbone)
        if getattr(lm, "preprocessor", None) is None:
            raise ValueError(
                "Expected `lm` to have a preprocessor with a tokenizer. "
                "Received: lm.preprocessor=None"
            )
        if max_length < 1 or piece < 1:
            raise ValueError(
                "Expected `max_length` and `piece` to be positive. "
                f"Received: max_length={max_length}, piece={piece}"
            )
        self.lm = lm
        self.tokenizer = lm.preprocessor.tokenizer
        self.piece = piece = within_positions(piece, lm.backbone)
        rounded_up = -(-max_length // piece) * piece
        most = within_positions(rounded_up, lm.backbone)
        self.max_length = most // piece * piece
        self.ends = end_tokens(self.tokenizer)
        self._starts = adds_start_token(lm.preprocessor, self.tokenizer)
        self._passes = Passes(lm, self.max_length, self.piece)

    @property
    def one_at_a_time(self) -> bool:
        """Whether several states cannot be written in one batch."""
        if isinstance(self.lm, keras_hub.models.Gemma4CausalLM):
            return True
        grown = bool(growths_of(self.lm))
        return grown and bool(lora_variables(self.lm.backbone))

    def stream(
        self,
        prompt: str,
        max_new_tokens: int,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        scales: State | None = None,
    ) -> Stream:
        """Begin an answer; nothing is computed until you read from it.

        Args:
            prompt: the text to continue.
            max_new_tokens: the most tokens to write.
            sampling: how tokens are chosen. Defaults to `None`: greedily.
            stop: the answer ends before the first of these texts that comes
                after something other than white space. Defaults to `()`: only
                an end token ends it.
            scales: the scale of each growth for this answer, by name; one
                that is not named is off, and `{}` is the base. Defaults to
                `None`: where the model's dials stand now.

        Returns:
            An iterator over pieces of text, each of one token, which may be
            empty. It has the `text` and `token_ids` so far; `finished`:
            `"end"` after an end token, `"stop"` after a stop text, `"length"`
            at the limit of tokens, `None` before; and `cut`, the tokens that
            the prompt lost on its left.

        Raises:
            ValueError: unless `0 < max_new_tokens < max_length`, or if there
                is no growth of such a name.
        """
        found = self.together(prompt, max_new_tokens, [scales], sampling, stop)
        return Stream(found)

    def together(
        self,
        prompt: str,
        max_new_tokens: int,
        states: Sequence[State | None],
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        begun: Sequence[int] = (),
    ) -> Together:
        """Begin answers of several states, such as base and grown, at once.

        They are written in one batch: one pass writes a token of each, and
        every row has its own dials.

        Args:
            prompt: see `stream`, as are the others.
            max_new_tokens: see `stream`.
            states: the scales of each answer; at least one.
            sampling: see `stream`. Each answer has its own draws.
            stop: see `stream`.
            begun: tokens that each answer already has, to be continued.

        Returns:
            The answers. `advance()` writes a token of every open one and
            returns the text of each; `finished` says whether all have ended.
            Before, `read_piece()` may be called until `is_read`, to read the
            prompt piece by piece. Each of `answers` has what a stream has,
            `logprobs` of its tokens in nats, and `lengths`: the characters of
            the text after each.

        Raises:
            ValueError: see `stream`; or if there are several states and the
                streamer is `one_at_a_time`.
        """
        if self.one_at_a_time and len(states) > 1:
            raise ValueError(
                "Expected one answer at a time of a model whose blocks "
                "multiply by their kernels themselves, or that has LoRA beside "
                "its growths: LoRA has no dial for each row. Received: "
                f"{len(states)} states of {type(self.lm).__name__}. Begin "
                "each by itself."
            )
        check_texts(stop, "stop")
        room = self.max_length - len(begun)
        if not 0 < max_new_tokens < room:
            raise ValueError(
                f"Expected `max_new_tokens` to be from 1 to {room - 1}. "
                f"Received: max_new_tokens={max_new_tokens}"
            )
        whole = self.encode(prompt)
        kept = self._cut(whole, room - max_new_tokens)
        rows = [self._checked(state) for state in states]
        sampling = sampling or Sampling()
        cut = len(whole) - len(kept)
        answers = [
            Written(self, cut, max_new_tokens, sampling, stop, begun)
            for _ in rows
        ]
        reading = Reading(self._passes, [*kept, *begun], rows)
        return Together(reading, answers, sampling)

    def logprobs(
        self,
        prompt: str,
        token_ids: Sequence[int],
        scales: State | None = None,
    ) -> NDArray[np.float64]:
        """Log-likelihood of each token of an answer after a prompt.

        Args:
            prompt: the text before it.
            token_ids: the answer, such as a stream's `token_ids`.
            scales: see `stream`.

        Returns:
            float64 `[tokens]`, in nats.
        """
        answer = list(token_ids)[: self.max_length - 1]
        room = self.max_length - len(answer)
        context = self._cut(self.encode(prompt), room)
        tokens, found = context + answer, []
        reading = Reading(self._passes, tokens, [self._checked(scales)])
        start = 0
        while answer and not reading.is_read:
            hidden = reading.read_piece()
            piece = hidden.shape[1]
            targets = tokens[1:][start : start + piece]
            first = max(len(context) - 1 - start, 0)
            if first < len(targets):
                padded = np.zeros((piece,), dtype="int32")
                padded[: len(targets)] = targets
                values = self._passes.score(hidden, padded)
                values = ops.convert_to_numpy(values)[first : len(targets)]
                found.append(values.astype("float64"))
            start += piece
        return np.concatenate([np.zeros(0), *found])

    def encode(self, prompt: str) -> list[int]:
        """Tokens of a prompt, the start token first where there is one."""
        tokens = tokenize(self.tokenizer, [prompt])[0]
        if self._starts or not tokens:
            return [start_token(self.tokenizer), *tokens]
        return tokens

    def _cut(self, tokens: list[int], room: int) -> list[int]:
        start = start_token(self.tokenizer) if self._starts else None
        return list(cut_left(tokens, room, start))

    def _checked(self, state: State | None) -> dict[str, float]:
        """The growths that a state leaves on, by name."""
        grown = bool(growths_of(self.lm))
        known = grown_state(self.lm).scales if grown else {}
        scales = check_scales(
            dict(known if state is None else state), list(known)
        )
        return {name: scale for name, scale in scales.items() if scale}

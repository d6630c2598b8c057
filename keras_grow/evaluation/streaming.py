"""Answers token by token, as they are written."""

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

from keras_grow.evaluation.compiled import PerState
from keras_grow.evaluation.compiled import compile_over
from keras_grow.evaluation.decoding import end_tokens
from keras_grow.evaluation.sampling import Sampling
from keras_grow.evaluation.stream import State
from keras_grow.evaluation.stream import Stream
from keras_grow.growth.dial import dial_restored
from keras_grow.growth.scale import set_growths
from keras_grow.growth.state import grown_state
from keras_grow.growth.switch import growth_disabled
from keras_grow.keras_internals import cache_of
from keras_grow.keras_internals import takes_tokens_alone
from keras_grow.tasks.encode import tokenize
from keras_grow.tasks.start_token import adds_start_token
from keras_grow.tasks.start_token import start_token
from keras_grow.training.head import OutputHead


@dataclass(frozen=True)
class _Functions:
    """What is compiled for one state of a model."""

    read: Callable[..., Any]
    step: Callable[..., Any]
    logprobs: Callable[..., Any]


class Streamer:
    """A causal language model that yields its answers as it writes them.

    Prompts are read in pieces of one size and tokens are written one at a
    time into a cache of one size, so that there are two shapes to compile,
    whatever the prompt: once with growth and once without.

    Several streams may be read in turn, or from several threads; each step
    locks the model. Do not change the model while a stream is open.

    Args:
        lm: a KerasHub `CausalLM` of text, grown or not, with a preprocessor:
            Gemma 1, 2 or 3, Llama, Mistral, Qwen 2.5 or 3, Phi 3, SmolLM 3,
            GPT-2, OPT, GPT-NeoX, BLOOM, Falcon, Qwen-MoE.
        max_length: the most tokens of prompt and answer together, rounded up
            to a multiple of `piece`. Longer prompts lose tokens on their
            left. Defaults to 512.
        piece: tokens of a prompt that are read at a time. Defaults to 32.

    Raises:
        TypeError: if `lm` is a model whose cache holds more than the keys and
            values of tokens.
        ValueError: if it has no preprocessor, or a size is not positive.

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
        known = isinstance(lm, keras_hub.models.Gemma3CausalLM)
        if not (known or takes_tokens_alone(lm)):
            raise TypeError(
                "Expected `lm` to be a KerasHub CausalLM whose cache holds the "
                f"keys and values of tokens alone. Received: lm={lm!r}. "
                "`keras_grow.evaluation.generate` answers with any."
            )
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
        self.piece = piece
        self.max_length = -(-max_length // piece) * piece
        self.ends = end_tokens(self.tokenizer)
        self._starts = adds_start_token(lm.preprocessor, self.tokenizer)
        self._head = OutputHead(lm)
        self._cache_shape: tuple[int, ...] | None = None
        self._lock = threading.Lock()
        self._functions = PerState(lm.backbone, self._compile)

    def stream(
        self,
        prompt: str,
        max_new_tokens: int,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        growth: bool = True,
        scale: float | None = None,
    ) -> Stream:
        """Begin an answer; nothing is computed until you read from it.

        Args:
            prompt: the text to continue.
            max_new_tokens: the most tokens to write.
            sampling: how tokens are chosen. Defaults to `None`: greedily.
            stop: the answer ends before the first of these texts that comes
                after something other than white space. Defaults to `()`: only
                an end token ends it.
            growth: whether a grown model answers with its growth, or as its
                base. Defaults to `True`.
            scale: the scale of every growth of the model for this answer.
                Defaults to `None`: the current scales.

        Returns:
            An iterator over pieces of text, with the state of the answer.

        Raises:
            ValueError: unless `0 < max_new_tokens < max_length`.
        """
        if not 0 < max_new_tokens < self.max_length:
            raise ValueError(
                f"Expected `max_new_tokens` to be from 1 to "
                f"{self.max_length - 1}. "
                f"Received: max_new_tokens={max_new_tokens}"
            )
        sampling = sampling or Sampling()
        state = (growth, scale)
        return Stream(self, prompt, max_new_tokens, sampling, stop, state)

    def loglikelihood(
        self,
        prompt: str,
        token_ids: Sequence[int],
        growth: bool = True,
        scale: float | None = None,
    ) -> float:
        """Log-likelihood of an answer, of token ids, after a prompt.

        Args:
            prompt: the text before it.
            token_ids: the answer, such as `Stream.token_ids`.
            growth: see `stream`.
            scale: see `stream`.

        Returns:
            The sum over the tokens, in nats; 0 without any.
        """
        answer = list(token_ids)[: self.max_length - 1]
        context = self.encode(prompt)[-(self.max_length - len(answer)) :]
        read, targets = (context + answer)[:-1], (context + answer)[1:]
        cache = self.empty_cache()
        total = 0.0
        for start in range(0, len(read), self.piece):
            hidden, cache = self.read(read, start, cache, (growth, scale))
            last = min(start + self.piece, len(read))
            if not answer or last < len(context):
                continue
            padded = np.zeros((self.piece,), dtype="int32")
            padded[: last - start] = targets[start:last]
            with self._state((growth, scale)):
                values = self._functions.get().logprobs(hidden, _int32(padded))
            first = max(len(context) - 1 - start, 0)
            values = ops.convert_to_numpy(values)[first : last - start]
            total += float(values.astype("float64").sum())
        return total

    def encode(self, prompt: str) -> list[int]:
        """Tokens of a prompt, the start token first where there is one."""
        tokens = tokenize(self.tokenizer, [prompt])[0]
        if self._starts or not tokens:
            return [start_token(self.tokenizer), *tokens]
        return tokens

    def empty_cache(self) -> Any:
        """A cache of no token, as `call_with_cache` takes it."""
        backbone, dtype = self.lm.backbone, self.lm.compute_dtype
        if isinstance(self.lm, keras_hub.models.Gemma3CausalLM):
            heads, size = backbone.num_key_value_heads, backbone.head_dim
            shape = (1, self.max_length, heads, size)
            return tuple(
                (ops.zeros(shape, dtype), ops.zeros(shape, dtype))
                for _ in backbone.transformer_layers
            )
        if self._cache_shape is None:
            # Of two tokens: `(1, blocks, 2, 2, heads, head_dim)`.
            cache = cache_of(self.lm, ops.zeros((1, 2), "int32"))
            shape = tuple(cache.shape)
            self._cache_shape = (*shape[:3], self.max_length, *shape[4:])
        return ops.zeros(self._cache_shape, dtype)

    def read(
        self, tokens: Sequence[int], start: int, cache: Any, state: State
    ) -> tuple[Any, Any]:
        """Read a piece of `tokens` from `start` on into the cache."""
        padded = np.zeros((1, self.piece), dtype="int32")
        part = tokens[start : start + self.piece]
        padded[0, : len(part)] = part
        with self._state(state):
            function = self._functions.get().read
            result: tuple[Any, Any] = function(
                _int32(padded), cache, _int32(start)
            )
            return result

    def step(
        self, token: int, index: int, cache: Any, state: State
    ) -> tuple[Any, Any]:
        """Logits `[vocabulary]` after the token at `index`; the cache."""
        with self._state(state):
            function = self._functions.get().step
            logits, cache = function(_int32([[token]]), cache, _int32(index))
            return np.asarray(ops.convert_to_numpy(logits)), cache

    @contextlib.contextmanager
    def _state(self, state: State) -> Iterator[None]:
        """The model for one thread alone, with growth or without."""
        growth, scale = state
        with self._lock, contextlib.ExitStack() as held:
            if not growth or scale == 0:
                held.enter_context(growth_disabled(self.lm))
            elif scale is not None:
                wanted = dict.fromkeys(grown_state(self.lm).names, scale)
                if grown_state(self.lm).scales != wanted:
                    held.enter_context(dial_restored(self.lm))
                    set_growths(self.lm, wanted)
            yield

    def _compile(self) -> _Functions:
        def call(token_ids: Any, cache: Any, index: Any) -> tuple[Any, ...]:
            outputs: tuple[Any, ...] = self.lm.call_with_cache(
                token_ids, cache=cache, cache_update_index=index
            )
            return outputs

        def read(token_ids: Any, cache: Any, index: Any) -> tuple[Any, Any]:
            _, hidden, cache = call(token_ids, cache, index)
            return hidden, cache

        def step(token_ids: Any, cache: Any, index: Any) -> tuple[Any, Any]:
            logits, _, cache = call(token_ids, cache, index)
            return ops.cast(logits[0, -1], "float32"), cache

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

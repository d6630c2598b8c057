"""Log-likelihoods of tokens: batched, compiled, logits only where scored."""

import warnings
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_grow.evaluation.batches import even_size
from keras_grow.evaluation.batches import group_requests
from keras_grow.evaluation.batches import pad_rows
from keras_grow.evaluation.batches import positions
from keras_grow.evaluation.compiled import PerState
from keras_grow.evaluation.compiled import compile_over
from keras_grow.evaluation.decoding import Decoder
from keras_grow.evaluation.progress import ShowProgress
from keras_grow.evaluation.progress import reporter
from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.tokens import Pair
from keras_grow.evaluation.tokens import encode_pairs
from keras_grow.growth.text_inputs import check_reads_text
from keras_grow.growth.text_inputs import text_inputs
from keras_grow.growth.text_inputs import within_positions
from keras_grow.tasks.start_token import adds_start_token
from keras_grow.tasks.start_token import start_token
from keras_grow.training.head import OutputHead
from keras_grow.training.head import label_log_probs
from keras_grow.training.lengths import cheapest_lengths
from keras_grow.training.lengths import compiles_lengths
from keras_grow.training.lengths import length_for

# Bytes of float32 logits that are formed at a time.
_LOGIT_BYTES = 2**28
# Positions that may be padded to save a length. On two cores Gemma 3 270M reads
# so many in the time in which one more length is compiled.
_PRICE = 1000


class Scorer:
    """A causal language model with its compiled scoring functions.

    Every score takes a model or a `Scorer`. If you score repeatedly, as during
    training, make one `Scorer` and pass it: nothing is compiled twice. Weights
    are read at each call. If layers change or growth is switched on or off, the
    scorer compiles again.

    Args:
        lm: a KerasHub `CausalLM` that reads token ids and a padding mask.
        tokenizer: its tokenizer. Defaults to `None`: the preprocessor's.
        batch_size: the most rows that the model reads at a time. Defaults
            to 16.
        max_length: the most tokens that it reads of a row. Longer contexts
            lose tokens on their left, with a warning. Defaults to 1024, or
            fewer if the model has fewer positions.
        progress: `True` for a progress bar, or a function that is called with
            the number of rows done and of all rows. Defaults to `False`.
        key: function without arguments whose hashable result distinguishes
            states that the model's layers do not show. Defaults to `None`.

    Raises:
        ValueError: if the model has no tokenizer and none is given, or needs
            further inputs, such as images.
        TypeError: if `lm` is not a causal language model.

    Example:

    ```python
    from keras_grow.evaluation import Scorer, multiple_choice, perplexity

    scorer = Scorer(lm, batch_size=32, progress=True)
    multiple_choice(scorer, task.test).accuracy
    perplexity(scorer, articles).token_perplexity
    ```
    """

    def __init__(
        self,
        lm: keras.Model,
        tokenizer: Any = None,
        batch_size: int = 16,
        max_length: int = 1024,
        progress: ShowProgress = False,
        key: Callable[[], Hashable] | None = None,
    ) -> None:
        self._head = OutputHead(lm)
        preprocessor = getattr(lm, "preprocessor", None)
        tokenizer = tokenizer or getattr(preprocessor, "tokenizer", None)
        if tokenizer is None:
            raise ValueError(
                "Expected `lm` to have a preprocessor with a tokenizer. "
                "Received: lm.preprocessor=None. Pass `tokenizer`."
            )
        check_reads_text(lm.backbone)
        if batch_size < 1 or max_length < 1:
            raise ValueError(
                "Expected `batch_size` and `max_length` to be positive. "
                f"Received: batch_size={batch_size}, max_length={max_length}"
            )
        max_length = within_positions(max_length, lm.backbone)
        self.lm = lm
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.max_length = max_length
        self.progress = progress
        self.add_start_token = adds_start_token(preprocessor, tokenizer)
        self.decoder = Decoder(
            lm,
            tokenizer,
            batch_size,
            max_length,
            self.add_start_token,
            progress,
            key,
        )
        backbone = lm.backbone
        self._hidden = PerState(
            backbone, lambda: compile_over(self._hidden_states, backbone), key
        )
        self._project = PerState(
            backbone, lambda: compile_over(self._logprobs, lm), key
        )
        # Shapes that have been read: rows and their length.
        self._compiled: set[tuple[int, int]] = set()
        # One chunk of logits stays within _LOGIT_BYTES.
        largest = max(8, _LOGIT_BYTES // (4 * self._head.vocabulary_size))
        self._largest_chunk = min(1024, 2 ** (largest.bit_length() - 1))

    @classmethod
    def of(cls, lm: "keras.Model | Scorer") -> "Scorer":
        """`lm` itself if it is a scorer, otherwise a new one for it."""
        return lm if isinstance(lm, Scorer) else cls(lm)

    def loglikelihood(
        self, contexts: Sequence[str], continuations: Sequence[str]
    ) -> LogLikelihoods:
        """Log-likelihood of each continuation after its context.

        Args:
            contexts: N texts; an empty one is the start token.
            continuations: N texts; an empty one has log-likelihood 0.

        Returns:
            `logprob`, `n_tokens` and `is_greedy`, see `loglikelihood`.
        """
        pairs = encode_pairs(
            self.tokenizer, contexts, continuations, self.add_start_token
        )
        return self.score_tokens(pairs)

    def score_tokens(self, pairs: Sequence[Pair]) -> LogLikelihoods:
        """Log-likelihood of each continuation, of token ids.

        Args:
            pairs: N pairs of context and continuation; contexts not empty.

        Returns:
            `logprob`, `n_tokens` and `is_greedy`, see `loglikelihood`.

        Raises:
            ValueError: if a context is empty or a continuation is longer
                than `max_length`.
        """
        start = start_token(self.tokenizer) if self.add_start_token else None
        groups, cut = group_requests(pairs, self.max_length, start)
        if cut:
            warnings.warn(
                f"{cut} of {len(pairs)} contexts were cut on their left to "
                f"max_length={self.max_length} tokens.",
                stacklevel=3,
            )
        logprob = np.zeros(len(pairs), dtype="float64")
        is_greedy = np.ones(len(pairs), dtype=bool)
        report = reporter(self.progress, len(groups))
        # Longest first: what does not fit in memory fails at once.
        rows = sorted(groups, key=len, reverse=True)
        hidden_states, project = self._hidden.get(), self._project.get()
        done = 0
        for batch, size, length in self._batches(rows):
            hidden = hidden_states(*pad_rows(batch, size, length))
            wanted = [
                (request, row * length + len(tokens) - len(pairs[request][1]))
                for row, tokens in enumerate(batch)
                for request in groups[tokens]
            ]
            owners, index, targets = positions(wanted, pairs)
            for part in self._chunks(len(index)):
                logprobs, greedy = self._apply(
                    project, hidden, index[part], targets[part]
                )
                np.add.at(logprob, owners[part], logprobs)
                np.logical_and.at(is_greedy, owners[part], greedy)
            done += len(batch)
            report(done)
        n_tokens = np.array([len(pair[1]) for pair in pairs], dtype="int64")
        return LogLikelihoods(logprob, n_tokens, is_greedy)

    def _batches(
        self, rows: Sequence[tuple[int, ...]]
    ) -> list[tuple[Sequence[tuple[int, ...]], int, int]]:
        """Batches of rows, longest first, each with the shape to pad it to."""
        size = even_size(len(rows), self.batch_size)
        batches = [rows[n : n + size] for n in range(0, len(rows), size)]
        longest = [len(batch[0]) for batch in batches]
        if not compiles_lengths() or not batches:
            return [
                (batch, len(batch), length)
                for batch, length in zip(batches, longest, strict=True)
            ]
        known = [length for rows, length in self._compiled if rows == size]
        lengths = cheapest_lengths(
            np.repeat(longest, size), known, _PRICE, longest=self.max_length
        )
        self._compiled.update((size, length) for length in lengths)
        return [
            (batch, size, lengths[int(length_for(lengths, length))])
            for batch, length in zip(batches, longest, strict=True)
        ]

    def _chunks(self, count: int) -> Iterator[slice]:
        """Slices over `count` positions, each at most one chunk long."""
        for start in range(0, count, self._largest_chunk):
            yield slice(start, min(start + self._largest_chunk, count))

    def _apply(
        self,
        project: Callable[..., Any],
        hidden: Any,
        index: NDArray[np.int32],
        targets: NDArray[np.int32],
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Log-probabilities at a chunk, padded to a power of two."""
        count = len(index)
        size = max(8, 2 ** (count - 1).bit_length())
        padding = (0, size - count)
        # With a dtype: under a bfloat16 floatx JAX makes floats of ints.
        index, targets = [
            ops.convert_to_tensor(np.pad(array, padding), "int32")
            for array in (index, targets)
        ]
        # Outside of what is compiled, which then is the same for all lengths.
        logprobs, greedy = project(ops.take(hidden, index, axis=0), targets)
        return (
            ops.convert_to_numpy(logprobs)[:count].astype("float64"),
            ops.convert_to_numpy(greedy)[:count],
        )

    def _hidden_states(self, token_ids: Any, padding_mask: Any) -> Any:
        """Final hidden states `[B * S, h]`."""
        inputs = {
            "token_ids": ops.convert_to_tensor(token_ids, "int32"),
            "padding_mask": ops.convert_to_tensor(padding_mask, "bool"),
        }
        backbone = self.lm.backbone
        hidden = backbone(text_inputs(backbone, inputs), training=False)
        return ops.reshape(hidden, (-1, hidden.shape[-1]))

    def _logprobs(self, hidden: Any, targets: Any) -> Any:
        """Log-probability of each target, and whether it is the likeliest."""
        logits = ops.cast(self._head(hidden), "float32")
        likeliest = ops.cast(ops.argmax(logits, axis=-1), targets.dtype)
        return label_log_probs(targets, logits), likeliest == targets

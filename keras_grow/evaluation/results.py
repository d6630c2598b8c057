"""What the scores return: small records that turn into JSON."""

import dataclasses
import math
from typing import Any
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class LogLikelihoods(NamedTuple):
    """Log-likelihoods of N continuations.

    Args:
        logprob: natural logarithm of the probability of each continuation
            after its context, float64 `[N]`.
        n_tokens: tokens of each continuation, int64 `[N]`.
        is_greedy: whether greedy decoding would write the continuation, bool
            `[N]`.
    """

    logprob: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    is_greedy: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Result:
    """What every score has; subclasses add their own figures.

    Args:
        metric: name of the metric.
        score: the main number of the result.
        n: number of examples.
    """

    metric: str
    score: float
    n: int

    def to_dict(self, examples: bool = False) -> dict[str, Any]:
        """The result as JSON-ready values.

        Args:
            examples: whether to keep the fields with a value per example.
                Defaults to `False`.

        Returns:
            A dictionary of numbers and strings, and lists if asked for; what is
            not a finite number is `None`.
        """
        return {
            name: _plain(value)
            for name, value in dataclasses.asdict(self).items()
            if examples or not isinstance(value, tuple)
        }


@dataclasses.dataclass(frozen=True)
class MultipleChoice(Result):
    """Accuracy of the most likely choice; `score` is the plain one.

    Args:
        accuracy: share right by the sum of log-probabilities.
        accuracy_characters: by the sum over characters of the choice.
        accuracy_bytes: by the sum over its UTF-8 bytes.
        standard_error: of `accuracy`.
        predictions: index of the most likely choice of each example.
        logprobs: log-likelihood of each choice of each example.
    """

    accuracy: float
    accuracy_characters: float
    accuracy_bytes: float
    standard_error: float
    predictions: tuple[int, ...]
    logprobs: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True)
class LastWord(Result):
    """Accuracy of greedy decoding at the last word, also as `score`.

    Args:
        accuracy: share of answers that greedy decoding writes whole.
        word_perplexity: exp of the mean negative log-likelihood per answer.
        standard_error: of `accuracy`.
        is_right: for each example, whether the answer is right.
    """

    accuracy: float
    word_perplexity: float
    standard_error: float
    is_right: tuple[bool, ...]


@dataclasses.dataclass(frozen=True)
class Perplexity(Result):
    """Perplexity of text; `score` is the one per token.

    Args:
        token_perplexity: exp of the negative log-likelihood over the tokens.
        word_perplexity: the same over words (split at white space).
        byte_perplexity: the same over UTF-8 bytes.
        bits_per_byte: the binary logarithm of `byte_perplexity`.
        negative_log_likelihood: the sum, in nats.
        tokens: number of tokens, each predicted once.
        words: number of words.
        bytes: number of bytes.
        losses: negative log-likelihood of each text, in nats.
        token_counts: tokens of each text.
    """

    token_perplexity: float
    word_perplexity: float
    byte_perplexity: float
    bits_per_byte: float
    negative_log_likelihood: float
    tokens: int
    words: int
    bytes: int
    losses: tuple[float, ...] = ()
    token_counts: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class MeanLoss(Result):
    """Negative log-likelihood of right answers; `score` is the one per token.

    `losses` are those of each answer, in nats.
    """

    losses: tuple[float, ...]
    token_counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ExactMatch(Result):
    """Share of generated answers that equal the reference, also as `score`.

    Args:
        accuracy: the share.
        standard_error: of `accuracy`.
        normalization: name of the function applied to both texts first.
        predictions: the generated answers.
        references: the right answers.
    """

    accuracy: float
    standard_error: float
    normalization: str
    predictions: tuple[str, ...]
    references: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SacreBleu(Result):
    """Corpus BLEU by sacrebleu, 0 to 100, also as `score`.

    Args:
        signature: sacrebleu's signature, which makes the score comparable.
        predictions: the generated translations.
        references: the right translations.
    """

    signature: str
    predictions: tuple[str, ...]
    references: tuple[str, ...]


def standard_error(accuracy: float, n: int) -> float:
    """Standard error of a share over n examples; NaN for fewer than two."""
    if n < 2:
        return math.nan
    return math.sqrt(accuracy * (1.0 - accuracy) / (n - 1))


def _plain(value: Any) -> Any:
    """A value that strict JSON can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value

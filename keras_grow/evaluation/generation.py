"""Scores of generated answers: exact match and SacreBLEU."""

import re
from collections.abc import Callable
from collections.abc import Sequence

import keras

from keras_grow.evaluation.results import ExactMatch
from keras_grow.evaluation.results import SacreBleu
from keras_grow.evaluation.results import standard_error
from keras_grow.evaluation.scorer import Scorer
from keras_grow.evaluation.tokens import check_texts
from keras_grow.tasks.encoding import tokenize
from keras_grow.tasks.example import Example


def generate(
    lm: keras.Model | Scorer,
    prompts: Sequence[str],
    max_new_tokens: int,
    stop: Sequence[str] = ("\n",),
) -> list[str]:
    r"""Continue prompts greedily, in batches, through KerasHub's `generate`.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        prompts: N texts.
        max_new_tokens: the most tokens written after a prompt.
        stop: an answer ends before the first of these texts, or at an end
            token. Defaults to `("\n",)`.

    Returns:
        N continuations, without prompt and stop text.

    Raises:
        ValueError: if `max_new_tokens` is out of range.

    Example:

    ```python
    from keras_grow.evaluation import generate

    generate(lm, ["The capital of France is"], max_new_tokens=4)
    ```
    """
    return Scorer.of(lm).decoder.generate(prompts, max_new_tokens, stop)


def exact_match(
    lm: keras.Model | Scorer,
    examples: Sequence[Example],
    max_new_tokens: int | None = None,
    stop: Sequence[str] = ("\n",),
    normalize: Callable[[str], str] = str.strip,
) -> ExactMatch:
    r"""Share of greedily generated answers that equal the reference.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        examples: the examples.
        max_new_tokens: the most tokens of an answer. Defaults to `None`: one
            more than the longest reference has, because no longer answer can
            match.
        stop: see `generate`.
        normalize: function applied to both texts before they are compared.
            Defaults to `str.strip`.

    Returns:
        The result, see `evaluate`, with `accuracy` (also the `score`), its
        `standard_error`, `normalization` (the function's name), and all
        `predictions` and `references`.

    Raises:
        ValueError: if there are no examples, a reference contains a stop
            text, so that no answer can match it, or `normalize` leaves nothing
            of a reference, which any empty answer would match.

    Example:

    ```python
    from keras_grow.evaluation import exact_match

    exact_match(lm, task.validation).accuracy
    ```
    """
    _check_stop(examples, stop)
    references = [example.response for example in examples]
    wanted = [normalize(reference) for reference in references]
    for reference, left in zip(references, wanted, strict=True):
        if reference.strip() and not left:
            raise ValueError(
                "Expected references of which something is left to compare. "
                f"Received: {reference!r}, of which `normalize` leaves "
                "nothing. Leave the row out, or compare in another way."
            )
    predictions = _write(lm, examples, max_new_tokens, stop, 1.0, 1)
    right = [
        normalize(prediction) == left
        for prediction, left in zip(predictions, wanted, strict=True)
    ]
    accuracy = sum(right) / len(right)
    return ExactMatch(
        "exact_match",
        accuracy,
        len(right),
        accuracy,
        standard_error(accuracy, len(right)),
        getattr(normalize, "__qualname__", repr(normalize)),
        tuple(predictions),
        tuple(references),
    )


def sacrebleu(
    lm: keras.Model | Scorer,
    examples: Sequence[Example],
    max_new_tokens: int | None = None,
    stop: Sequence[str] = ("\n",),
    tokenize: str = "13a",
) -> SacreBleu:
    r"""Corpus BLEU of greedily generated translations, by sacrebleu.

    Args:
        lm: a KerasHub `CausalLM`, or a `Scorer` of one.
        examples: the examples; `response` is the only reference.
        max_new_tokens: the most tokens of a translation. Defaults to `None`:
            1.5 times the longest reference, plus 8.
        stop: see `generate`.
        tokenize: sacrebleu's tokenizer. Defaults to `"13a"`.

    Returns:
        The result, see `evaluate`, with the `score` (0 to 100), sacrebleu's
        `signature`, and all `predictions` and `references`.

    Raises:
        ImportError: if sacrebleu is not installed.
        ValueError: if there are no examples, or a reference contains a stop
            text, so that no answer can reach it.

    Example:

    ```python
    from keras_grow.evaluation import sacrebleu

    result = sacrebleu(lm, task.validation)
    result.score, result.signature
    ```
    """
    from sacrebleu.metrics import BLEU

    _check_stop(examples, stop)
    predictions = _write(lm, examples, max_new_tokens, stop, 1.5, 8)
    predictions = [prediction.strip() for prediction in predictions]
    references = [example.response.strip() for example in examples]
    metric = BLEU(tokenize=tokenize)
    score = float(metric.corpus_score(predictions, [references]).score)
    return SacreBleu(
        "sacrebleu",
        score,
        len(references),
        str(metric.get_signature()),
        tuple(predictions),
        tuple(references),
    )


def final_number(text: str) -> str:
    """The last number in a text, for `exact_match` on worked solutions (GSM8K).

    It has no thousands separators and trailing zeros; `""` if there is none.
    """
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    number = found[-1].replace(",", "") if found else ""
    return number.rstrip("0").rstrip(".") if "." in number else number


def _check_stop(examples: Sequence[Example], stop: Sequence[str]) -> None:
    """Refuse references that no answer can reach."""
    check_texts(stop, "stop")
    for example in examples:
        if any(mark in example.response.strip() for mark in stop):
            raise ValueError(
                "Expected no answer to hold a stop text. Received: "
                f"stop={tuple(stop)!r}, response={example.response!r}. Pass "
                "other texts as `stop`."
            )


def _write(
    lm: keras.Model | Scorer,
    examples: Sequence[Example],
    max_new_tokens: int | None,
    stop: Sequence[str],
    factor: float,
    extra: int,
) -> list[str]:
    """Answers of `factor` times the longest reference, plus `extra` tokens."""
    if not examples:
        raise ValueError("Expected at least one example. Received: examples=[]")
    scorer = Scorer.of(lm)
    if max_new_tokens is None:
        references = [example.response for example in examples]
        longest = max(map(len, tokenize(scorer.tokenizer, references)))
        max_new_tokens = int(factor * longest) + extra
    prompts = [example.prompt for example in examples]
    return generate(scorer, prompts, max_new_tokens, stop)

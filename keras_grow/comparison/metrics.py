"""The metrics of a comparison: what each one is. Nothing here needs Keras."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Literal

if TYPE_CHECKING:
    from keras_grow.evaluation.results import Result

_Z = 1.96  # The normal distribution's, of 95%.
_MOST = 700.0  # Nats, of which a perplexity is still a number.


@dataclass(frozen=True)
class Metric:
    """What a score's number means.

    Attributes:
        words: its name for people.
        better: which way is better.
        generated: whether the model has to generate an answer for it.
        low: its lower bound, or None.
        high: its upper bound, or None.
        unit: its unit; empty for a share or a ratio.
        interval: how its 95% interval is made: `"share"` from the score and
            the number of examples (Wilson), `"bootstrap"` from a loss for
            each example, `"none"` where only the texts would give one.
    """

    words: str
    better: Literal["lower", "higher"] = "higher"
    generated: bool = False
    low: float | None = 0.0
    high: float | None = None
    unit: str = ""
    interval: Literal["share", "bootstrap", "none"] = "none"


def _share(words: str, generated: bool = False) -> Metric:
    return Metric(words, "higher", generated, 0.0, 1.0, "", "share")


# By the names that a `Task` and a `Result` use.
METRICS = {
    "loss": Metric(
        "loss", "lower", unit="nats per token", interval="bootstrap"
    ),
    "perplexity": Metric("perplexity", "lower", low=1.0, interval="bootstrap"),
    "exact_match": _share("exact match", generated=True),
    "final_number": _share("right final number", generated=True),
    "sacrebleu": Metric("BLEU", generated=True, high=100.0, unit="points"),
    "multiple_choice": _share("right choices"),
    "last_word": _share("right last words"),
}


def metric_of(name: str) -> Metric:
    """What the scores of a metric mean.

    Args:
        name: the metric's name, such as `"perplexity"`. An unknown name gives
            a metric that has only that name.

    Returns:
        The metric: `words` for people, which way is `better` (`"lower"` or
        `"higher"`), whether answers are `generated` for it, its bounds `low`
        and `high`, its `unit`, and how its `interval` is made (`"share"`,
        `"bootstrap"` or `"none"`).

    Example:

    ```python
    from keras_grow.comparison import metric_of

    metric_of("perplexity").better  # "lower"
    ```
    """
    plain = Metric(name.replace("_", " "), low=None)
    return METRICS.get(name, plain)


def interval_of(result: "Result") -> tuple[float, float] | None:
    """The 95% interval of a score over its examples, if its metric has one."""
    kind = metric_of(result.metric).interval
    if result.n < 2 or not math.isfinite(result.score):
        return None
    if kind == "share":
        return wilson(result.score, result.n)
    losses = getattr(result, "losses", ())
    if kind == "none" or len(losses) < 2:
        return None
    from keras_grow.comparison import intervals

    sizes = getattr(result, "token_counts", ())
    means = intervals.ratio(losses, sizes, intervals.resamples(len(losses)))
    _, low, high = intervals.interval(0.0, means)
    if result.metric == "perplexity":
        low, high = (math.exp(min(end, _MOST)) for end in (low, high))
    return (low, high) if math.isfinite(low + high) else None


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share over independent examples."""
    z = _Z * _Z / n
    middle = (share + z / 2) / (1 + z)
    spread = _Z / (1 + z) * math.sqrt(share * (1 - share) / n + z / n / 4)
    return max(0.0, middle - spread), min(1.0, middle + spread)

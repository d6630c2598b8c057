"""`choose_scale`: how much of a growth a budget allows."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Protocol
from typing import SupportsFloat

import keras

from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.growth.dial import dial_restored
from keras_grow.growth.scale import set_growths
from keras_grow.growth.state import grown_state


class HasScore(Protocol):
    """A result of `keras_grow.evaluation`, or any object with a `score`."""

    @property
    def score(self) -> float:
        """The number that stands for the result."""


Figure = Callable[[keras.Model], SupportsFloat | HasScore]


@dataclass(frozen=True)
class Tried:
    """One scale and what was measured there; lower figures are better."""

    scale: float
    old: float
    new: float | None


@dataclass(frozen=True)
class ScaleChoice:
    """What `choose_scale` found.

    Attributes:
        name: the growth.
        scale: the largest scale that was tried and stays in the budget.
        old: the old skill's figure there.
        new: the new skill's figure there, or `None`.
        budget: the relative increase of the old figure that was allowed.
        tried: everything that was measured, by ascending scale.
    """

    name: str
    scale: float
    old: float
    new: float | None
    budget: float
    tried: tuple[Tried, ...]

    @property
    def increase(self) -> float:
        """The relative increase of the old figure over scale 0."""
        return self.old / self.tried[0].old - 1.0

    @property
    def monotone(self) -> bool:
        """Whether the old figure never fell from one tried scale to the next.

        If it did fall, scales between those that were tried may lie on either
        side of the budget: the chosen one is within it, but need not be the
        largest that is.
        """
        values = [trial.old for trial in self.tried]
        return all(a <= b for a, b in itertools.pairwise(values))

    def __str__(self) -> str:
        """A table for people."""
        start = self.tried[0].old
        lines = [f"{'scale':>8}  {'old':>10}  {'increase':>9}  {'new':>10}"]
        for trial in self.tried:
            new = "" if trial.new is None else f"{trial.new:.4g}"
            mark = "  <" if trial.scale == self.scale else ""
            lines.append(
                f"{trial.scale:8.4f}  {trial.old:10.4g}  "
                f"{trial.old / start - 1:+9.2%}  {new:>10}{mark}".rstrip()
            )
        lines.append(
            f"{self.name} at {self.scale:g}: {self.increase:+.2%} of the old "
            f"figure, {self.budget:.2%} allowed"
        )
        if not self.monotone:
            lines.append(
                "The old figure did not rise steadily with the scale: a larger "
                "scale between those tried may be within the budget, too."
            )
        return "\n".join(lines)


def choose_scale(
    model: keras.Model,
    new: Figure | None,
    old: Figure,
    budget: float = 0.02,
    name: str | None = None,
    steps: int = 6,
) -> ScaleChoice:
    """Find the largest scale of a growth that keeps an old skill in a budget.

    A scale is within the budget if `old` is at most `1 + budget` times its
    value at scale 0. The scales of other growths do not change, and LoRA stays
    on at every scale, including 0. Scale 1 is chosen if it is within the
    budget. Otherwise the interval from 0 to 1 is halved `steps` times around
    the point where the budget is used up. If the figure does not rise steadily,
    there may be several such points: one is found, and `monotone` is false.

    Args:
        model: a grown KerasHub task or backbone.
        new: function of the model that returns the figure of the new skill. It
            is reported but decides nothing. With `None` it is not measured.
        old: function of the model that returns the figure of the old skill: a
            positive number, lower is better, such as a loss or a perplexity. A
            result of `keras_grow.evaluation` counts as its score. Measure it
            on text that the growth was not trained on.
        budget: the relative increase that is allowed, 0.02 for 2%.
        name: the growth whose dial is turned. Defaults to `None`, the only
            growth of the model.
        steps: halvings; 6 find the scale to 1/64.

    Returns:
        The choice, which prints as a table for people; the dial is left
        there. It has the growth's `name`, the `scale`, the figures `old` and
        `new` there, the `budget`, `increase` (the relative increase of the
        old figure over scale 0), `monotone` (whether the old figure never
        fell from one tried scale to the next), and `tried`: all that was
        measured, by ascending `scale`, each with `old` and `new`.

    Raises:
        ValueError: if the model is not grown or its dial cannot be turned
            now, an argument is out of range, or `old` is not a positive
            number at scale 0. After any error, including one that `new` or
            `old` raises, the dial is as it was.

    Example:

    ```python
    from keras_grow.evaluation import Scorer, perplexity

    scorer = Scorer(lm)
    choice = keras_grow.choose_scale(
        lm,
        new=lambda _: perplexity(scorer, french_texts),
        old=lambda _: perplexity(scorer, english_texts),
        budget=0.02,
    )
    print(choice)
    ```
    """
    name = grown_state(model).check_name(name)
    budget = check_float(budget, "budget", 0.0)
    steps = check_int(steps, "steps", 0, 52)
    tried: dict[float, Tried] = {}

    def try_scale(scale: float) -> Tried:
        set_growths(model, {**before, name: scale})
        tried[scale] = Tried(
            scale,
            _number(old(model)),
            None if new is None else _number(new(model)),
        )
        return tried[scale]

    with dial_restored(model, only_after_errors=True) as before:
        best = try_scale(0.0)
        if not (math.isfinite(best.old) and best.old > 0.0):
            raise ValueError(
                "Expected `old` to return a positive number at scale 0, such "
                f"as a loss or a perplexity. Received: {best.old}"
            )
        limit = best.old * (1.0 + budget)
        low, high = 0.0, 1.0
        if try_scale(1.0).old <= limit:
            low = 1.0
        else:
            for _ in range(steps):
                middle = (low + high) / 2
                # NaN is over any budget.
                if try_scale(middle).old <= limit:
                    low = middle
                else:
                    high = middle
        set_growths(model, {**before, name: low})
    best = tried[low]
    return ScaleChoice(
        name,
        low,
        best.old,
        best.new,
        budget,
        tuple(tried[scale] for scale in sorted(tried)),
    )


def _number(figure: Any) -> float:
    return float(getattr(figure, "score", figure))

"""Which skill a prompt belongs to, decided from arrays, without a model.

A prompt's features have to pass two checks. Is the likeliest skill likelier
than a threshold? That separates skills from the text that was given as general.
And is the prompt as close to the middle of that skill as the skill's own
prompts are? That keeps out text unlike anything seen in fitting, about which a
linear classifier can be arbitrarily sure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_grow.routing.logistic import Logistic
from keras_grow.routing.logistic import fit_logistic

RIDGE = 1e-3
_FOLDS = 5
# A skill must be likelier than all other classes together.
_LEAST_THRESHOLD = 0.5


@dataclass(frozen=True)
class Judge:
    """A fitted decision between the skills and none of them.

    Features are standardized by their mean and spread `[d]`; the last class of
    the classifier is none of the skills. A skill reaches as far as `reaches`
    `[skills]` from its middle, its mean standardized features `[skills, d]`.
    Its probability must be above `threshold`.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    logistic: Logistic
    middles: NDArray[np.float64]
    reaches: NDArray[np.float64]
    threshold: float

    def __call__(
        self, features: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The class of each row, and the probability of every class."""
        probabilities = self._probabilities(features)
        best = probabilities[:, :-1].argmax(axis=1)
        certain = self.certainty(features) > self.threshold
        none = probabilities.shape[1] - 1
        return np.where(certain, best, none), probabilities

    def certainty(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of each row's likeliest skill; 0 beyond its reach."""
        chances = self._probabilities(features)[:, :-1]
        best = chances.argmax(axis=1)
        rows = np.arange(len(features))
        gaps = self._standard(features) - self.middles[best]
        far = np.linalg.norm(gaps, axis=1) > self.reaches[best]
        return np.where(far, 0.0, chances[rows, best])

    def _standard(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return (features - self.mean) / self.spread

    def _probabilities(
        self, features: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return self.logistic.probabilities(self._standard(features))


@dataclass(frozen=True)
class HeldOut:
    """How a judge does on held-out prompts.

    Each prompt was judged by a judge fitted without it, with the threshold of
    the final one.

    Attributes:
        threshold: the least probability of a skill, exclusive.
        false_alarm: bound on the share of text like the general text given
            (hard negatives included) that is taken for a skill.
        false_alarms: the share of the held-out general text that was.
        reached: the share of each skill's held-out prompts that reached it.
    """

    threshold: float
    false_alarm: float
    false_alarms: float
    reached: tuple[float, ...]


def fit_judge(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    skills: int,
    false_alarm: float,
) -> tuple[Judge, HeldOut]:
    """Fit a judge to `[rows, d]`, and its threshold on held-out prompts.

    The label `skills` stands for none of the skills; each class has at least
    two rows. `false_alarm` is the share of general text that may be taken for a
    skill. The threshold is the quantile of the held-out certainties of general
    text that keeps it: a new text drawn like those passes with that probability
    or less. With few texts the threshold is the highest certainty, and the
    bound is larger than requested.
    """
    certainty = np.zeros(len(labels))
    taken = np.zeros(len(labels), dtype="int64")
    folds = _folds(labels)
    for fold in range(_FOLDS):
        out = folds == fold
        if out.any():
            part = _fit(features[~out], labels[~out], skills, 0.0)
            certainty[out] = part.certainty(features[out])
            taken[out] = part._probabilities(features[out])[:, :-1].argmax(1)
    general = np.sort(certainty[labels == skills])[::-1]
    passing = max(0, int(false_alarm * (len(general) + 1)) - 1)
    threshold = max(_LEAST_THRESHOLD, float(general[passing]))
    passed = certainty > threshold
    held_out = HeldOut(
        threshold,
        max(false_alarm, 1 / (len(general) + 1)),
        float(passed[labels == skills].mean()),
        tuple(
            float((passed & (taken == skill))[labels == skill].mean())
            for skill in range(skills)
        ),
    )
    return _fit(features, labels, skills, threshold), held_out


def _fit(
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    skills: int,
    threshold: float,
) -> Judge:
    mean = features.mean(axis=0)
    # Rows then have a norm of about 1 for any number of features.
    spread = features.std(axis=0) * features.shape[1] ** 0.5
    spread[spread < 1e-12] = 1.0
    rows = (features - mean) / spread
    middles, reaches = [], []
    for skill in range(skills):
        own = rows[labels == skill]
        middle = own.mean(axis=0)
        # Each prompt's distance from the middle of the others.
        left_out = max(1, len(own) - 1)
        gaps = np.linalg.norm(own - middle, axis=1) * len(own) / left_out
        middles.append(middle)
        reaches.append(gaps.max())
    logistic = fit_logistic(rows, labels, skills + 1, RIDGE)
    return Judge(
        mean,
        spread,
        logistic,
        np.stack(middles),
        np.array(reaches),
        threshold,
    )


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """A fold for each row; each class is spread evenly over the folds."""
    folds = np.zeros(len(labels), dtype="int64")
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds

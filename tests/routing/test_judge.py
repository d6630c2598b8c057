"""A skill answers above a threshold, and within its reach."""

import numpy as np
import pytest

from keras_grow.routing import judge as judging
from keras_grow.routing.judge import fit_judge

pytestmark = pytest.mark.no_backend

WIDTH = 6


def draw(seed, skills=40, general=199, gap=2.0):
    """Two skills and general text as overlapping clouds."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [skills, skills, general])
    middles = np.zeros((3, WIDTH))
    middles[0, 0] = middles[1, 1] = gap
    return middles[labels] + rng.normal(size=(len(labels), WIDTH)), labels


@pytest.mark.parametrize("false_alarm", [0.01, 0.05, 0.2])
def test_false_alarms_on_new_text_stay_near_the_requested_share(false_alarm):
    # With a prompt in two on the wrong side the threshold has work to do.
    shares = []
    for seed in range(6):
        judge, held_out = fit_judge(*draw(seed, gap=1.5), 2, false_alarm)
        assert held_out.threshold > 0.5
        assert held_out.false_alarms <= false_alarm
        fresh, labels = draw(100 + seed, general=2000)
        taken, _ = judge(fresh[labels == 2])
        shares.append((taken != 2).mean())
    assert 0.1 * false_alarm < np.mean(shares) < 1.5 * false_alarm


def test_few_texts_give_a_weaker_guarantee():
    judge, held_out = fit_judge(*draw(0, general=19, gap=1.0), 2, 0.01)
    assert held_out.false_alarm == 1 / 20
    assert held_out.false_alarms == 0.0
    assert judge.threshold == held_out.threshold


def test_skills_are_told_apart_and_probabilities_add_up():
    judge, held_out = fit_judge(*draw(0, gap=8.0), 2, 0.01)
    fresh, labels = draw(1, gap=8.0)
    taken, chances = judge(fresh)
    assert (taken == labels).mean() > 0.95
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert min(held_out.reached) > 0.9


def test_text_unlike_all_examples_is_none_even_if_the_classifier_is_sure():
    features, labels = draw(0, gap=8.0)
    judge, _ = fit_judge(features, labels, 2, 0.01)
    away = np.zeros((1, WIDTH))
    away[0, 0] = 80.0
    taken, chances = judge(away)
    assert chances[0, 0] > 0.99
    assert taken[0] == 2


def test_a_reach_is_the_farthest_prompt_from_the_middle_of_the_others():
    features, labels = draw(0)
    judge, _ = fit_judge(features, labels, 2, 0.01)
    mean = features.mean(axis=0)
    rows = (features - mean) / features.std(axis=0) / np.sqrt(WIDTH)
    for skill in (0, 1):
        own = rows[labels == skill]
        gaps = [
            np.linalg.norm(own[i] - np.delete(own, i, axis=0).mean(axis=0))
            for i in range(len(own))
        ]
        np.testing.assert_allclose(judge.reaches[skill], max(gaps))


def test_the_threshold_comes_from_held_out_prompts(monkeypatch):
    features, labels = draw(0, gap=1.5)
    seen = []
    whole = judging._fit

    def watched(features, *rest):
        seen.append(len(features))
        return whole(features, *rest)

    monkeypatch.setattr(judging, "_fit", watched)
    fit_judge(features, labels, 2, 0.05)
    *parts, last = seen
    assert len(parts) == 5
    assert last == len(labels)
    assert sum(len(labels) - part for part in parts) == len(labels)

"""Examples cannot contradict themselves."""

import dataclasses

import pytest

from keras_grow.tasks import Example
from keras_grow.tasks import Task
from keras_grow.tasks import prompts

pytestmark = pytest.mark.no_backend


def test_an_example_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example("x", "y").prompt = "z"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"gold": 0}, "`choices` beside"),
        ({"choices": ("y", "n")}, "`gold` to index"),
        ({"choices": ("y", "n"), "gold": 2}, "`gold` to index the 2"),
        ({"choices": ("y", "n"), "gold": 1}, "to be the gold choice"),
        (
            {"choices": ("y", "n"), "gold": 0, "contexts": ("x",)},
            "a context for each of 2",
        ),
    ],
)
def test_contradicting_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Example("x", "y", **fields)


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric='f1'"):
        Task("mine", metric="f1")


def test_winogrande_scores_what_follows_the_blank():
    example = prompts.winogrande(
        "Ann thanked Bo as _ had helped.", "Ann", "Bo", 1
    )
    assert example.contexts == ("Ann thanked Bo as Ann", "Ann thanked Bo as Bo")
    assert example.choices == (" had helped.", " had helped.")
    assert example.prompt + example.response == (
        "Ann thanked Bo as Bo had helped."
    )
    with pytest.raises(ValueError, match="a blank"):
        prompts.winogrande("No blank.", "a", "b", 0)

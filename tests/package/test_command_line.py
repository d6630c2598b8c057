"""`keras-grow`: its help, and how it reports mistakes and bugs."""

import argparse
import os
import subprocess
import sys

import numpy as np
import pytest

from keras_grow.command import main
from keras_grow.command import parser
from keras_grow.command import status_of
from keras_grow.comparison.kinds import KINDS
from keras_grow.export import check
from keras_grow.selection import update

pytestmark = pytest.mark.no_backend


def parsers():
    """The parser of `keras-grow` and those of its commands, by name."""
    whole = parser()
    yield "keras-grow", whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def test_every_option_has_a_help_text():
    found = dict(parsers())
    assert set(found) == {
        "keras-grow",
        "app",
        "compare",
        "dial",
        "export",
        "rank",
    }
    for name, one in found.items():
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                assert all(choice.help for choice in action._choices_actions)
            else:
                assert action.help, f"{name}: {action.dest}"


def test_the_help_of_methods_names_every_kind():
    text = dict(parsers())["compare"].format_help().replace("\n", " ")
    for kind in KINDS:
        assert f" {kind}," in text or f" {kind};" in text


def test_the_help_needs_no_keras():
    code = """
import sys
from keras_grow.command import main
try:
    main(["--help"])
finally:
    assert "keras" not in sys.modules and "numpy" not in sys.modules
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "{app,compare,dial,export,rank}" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["rank", "one.weights.h5"],
        ["rank", "missing.weights.h5", "--method", "signal_to_noise"],
        ["app", "model", "--login", "missing"],
    ],
)
def test_a_wrong_argument_is_reported_in_one_line(words, capsys):
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("keras-grow: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("method", "said"),
    [("sftt", "Received: 'sftt'"), ("lora:rank=many", "'many'")],
)
def test_a_wrong_method_is_reported_before_anything_starts(
    method, said, capsys
):
    words = ["compare", "x", "--model", "m", "--task", "t", "--methods", method]
    with pytest.raises(SystemExit):
        main(words)
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_missing_package_is_reported_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    assert status_of(lambda: check.check_comparable(None)) == 1
    said = capsys.readouterr().err
    assert said.startswith("keras-grow: Expected transformers and torch")
    assert "pip install transformers torch" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"KERAS_BACKEND": "torch"}, "KERAS_BACKEND=torch, but there is no"),
        ({}, "KERAS_BACKEND is not set, and Keras' own setting"),
    ],
    ids=["named", "default"],
)
def test_a_missing_backend_is_reported_in_one_line(environment, said, tmp_path):
    code = """
import sys
sys.modules["torch"] = sys.modules["tensorflow"] = None
from keras_grow.command import main
sys.exit(main(["rank", "one", "two"]))
"""
    inherited = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    # Without the settings of whoever runs the tests.
    own = {"KERAS_HOME": str(tmp_path), **environment}
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=inherited | own, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith("keras-grow: Expected the backend of Keras")
    assert "jax, tensorflow, torch" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_backend_is_reported_in_one_line(monkeypatch):
    words = [sys.executable, "-m", "keras_grow.command.one_run", "x", "y", "0"]
    monkeypatch.setenv("KERAS_BACKEND", "foo")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "keras-grow: Expected KERAS_BACKEND to be one of jax, tensorflow, "
        "torch. Received: KERAS_BACKEND=foo\n"
    )


def no_arguments():
    """A function that the command calls with arguments."""


def wrong_shape(*arguments):
    """An error of NumPy."""
    np.zeros(2).reshape(3)


def of_another_package(*arguments):
    """An error in the wording of this package."""
    raise ValueError("Expected another shape. Received: (2,)")


@pytest.mark.parametrize("bug", [no_arguments, wrong_shape, of_another_package])
def test_a_bug_shows_its_traceback(bug, monkeypatch):
    monkeypatch.setattr(update, "rank_layers", bug)
    with pytest.raises((TypeError, ValueError)):
        main(["rank", "one", "two"])

"""The app and `keras-grow dial` on families that are built unlike Gemma 3.

One for each kind of blocks and of cache: blocks inside another model, dials
that a batch cannot have apart, positions that are learned, states beside keys
and values. `--every-family` takes the others, too.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from family_models import CONFIGS
from family_models import few_programs
from family_models import speaking_family
from keras_grow.app.catalog import BASE
from keras_grow.app.catalog import MIXED
from keras_grow.app.choices import Choice
from keras_grow.app.models import Models

import keras_grow
from keras_grow import grow_model
from keras_grow import growth_disabled
from keras_grow import growths
from keras_grow import load_growth
from keras_grow import save_growth
from keras_grow import set_growths
from keras_grow.command import main
from keras_grow.evaluation import Scorer
from keras_grow.loading import load

KINDS = ("Gemma 3n", "Gemma 4", "GPT-2", "Qwen 3.5")
PROMPT = "a quick"
pytestmark = pytest.mark.once


def pytest_generate_tests(metafunc):
    names = KINDS
    if metafunc.config.getoption("every_family"):
        # Every input of PaliGemma has an image.
        names = sorted(CONFIGS.keys() - {"PaliGemma"})
    metafunc.parametrize("name", names)


def test_a_family_is_dialed_and_answers_in_the_app(name, tmp_path, monkeypatch):
    with few_programs():
        path = tmp_path / "skill.grow.safetensors"
        lm = grow_model(speaking_family(name), name="skill")
        for weight in lm.trainable_weights:
            weight.assign(weight * 2.0)
        save_growth(lm, path)
        # The app takes the public name, the command the function's module.
        for owner in (keras_grow, load):
            monkeypatch.setattr(
                owner, "load_causal_lm", lambda *_: speaking_family(name)
            )
        check_dial(path, tmp_path)
        check_app(path, load_growth(speaking_family(name), path))


def check_dial(path, folder):
    (folder / "old.txt").write_text("the lazy dog", "utf-8")
    row = {"prompt": PROMPT, "response": " fox"}
    (folder / "new.jsonl").write_text(json.dumps(row), "utf-8")
    words = ["dial", str(path), "--model", "tiny", "--steps", "1"]
    words += ["--budget", "500%", "--old", str(folder / "old.txt")]
    assert main([*words, "--new", str(folder / "new.jsonl")]) == 0


def check_app(path, lm):
    runs = SimpleNamespace(
        model="tiny",
        dtype="float32",
        entries=lambda: [],
        entry=lambda key: None,
    )
    models = Models(runs)
    models.add_growth("file", path)
    for key in (BASE, "file"):
        models.want(key)
    while models.owner._waiting:
        models.owner.turn()
    for key in (BASE, "file"):
        assert models.part(key).state == "ready", models.part(key).message
    assert models.num_blocks == 2
    scorer = Scorer(lm, max_length=64)
    for choice, scale in (
        (Choice("file", {"file": 1.0}), 1.0),
        (Choice(MIXED, {"file": 0.5}), 0.5),
        (Choice(BASE), 0.0),
    ):
        written = asked(models, choice)
        set_growths(lm, {"skill": scale} if scale else {})
        pair = [(models._base.encode(PROMPT), written.token_ids)]
        own = scorer.score_tokens(pair)
        assert own.is_greedy[0]
        assert sum(written.logprobs) == pytest.approx(own.logprob[0], rel=1e-3)
        with growth_disabled(lm):
            base = scorer.score_tokens(pair).logprob[0]
        drift = models.drift(
            choice, PROMPT, written.token_ids, written.logprobs
        )
        assert sum(drift) == pytest.approx(own.logprob[0] - base, abs=1e-2)
        assert bool(scale) == bool(np.any(drift))
    assert growths(models._base.lm)


def asked(models, choice):
    whole = models.together([choice], PROMPT, 3).whole
    while not whole.finished:
        whole.advance()
    (written,) = whole.answers
    return written

"""The app answers with families that are built unlike Gemma 3.

One for each kind of blocks and of cache: blocks inside another model, dials
that a batch cannot have apart, positions that are learned, states beside keys
and values. `--every-family` takes the others, too.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from family_models import few_programs
from family_models import parametrize_families
from family_presets import whole_family
from keras_grow.app.catalog import BASE
from keras_grow.app.catalog import MIXED
from keras_grow.app.catalog import Choice
from keras_grow.app.models import Models

from keras_grow import grow_model
from keras_grow import growth_disabled
from keras_grow import growths
from keras_grow import load_causal_lm
from keras_grow import load_growth
from keras_grow import save_growth
from keras_grow import set_growths
from keras_grow.evaluation import Scorer

KINDS = ("Gemma 3n", "Gemma 4", "GPT-2", "Qwen 3.5")
PROMPT = "a quick"
pytestmark = pytest.mark.once


def pytest_generate_tests(metafunc):
    # Every input of PaliGemma has an image.
    parametrize_families(metafunc, "saved", KINDS, without=["PaliGemma"])


@pytest.fixture(scope="module")
def saved(request, tmp_path_factory):
    """A base as a preset, and a growth of it."""
    folder = tmp_path_factory.mktemp("saved")
    with few_programs():
        lm = whole_family(request.param)
        lm.save_to_preset(str(folder / "base"))
        grow_model(lm, name="skill")
        rng = np.random.default_rng(1)
        for weight in lm.trainable_weights:
            weight.assign(weight + rng.normal(0.0, 0.5, weight.shape))
        save_growth(lm, folder / "skill.grow.safetensors")
        yield SimpleNamespace(
            name=request.param,
            base=str(folder / "base"),
            growth=folder / "skill.grow.safetensors",
        )


def test_a_family_answers_in_the_app(saved):
    runs = SimpleNamespace(
        model=saved.base,
        dtype="float32",
        entries=lambda: [],
        entry=lambda key: None,
    )
    models = Models(runs)
    models.add_growth("file", saved.growth)
    for key in (BASE, "file"):
        models.want(key)
    while models.owner._waiting:
        models.owner.turn()
    for key in (BASE, "file"):
        assert models.part(key).state == "ready", models.part(key).message
    assert models.num_blocks == 2
    lm = load_growth(load_causal_lm(saved.base), saved.growth)
    scorer = Scorer(lm, max_length=32)
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

"""A comparison trains a model of every family that reads text."""

import importlib

import numpy as np
import pytest
from family_models import CONFIGS
from family_models import few_programs
from family_models import speaking_family
from keras import ops

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.evaluation import Scorer
from keras_grow.tasks import Example

method_training = importlib.import_module(
    "keras_grow.comparison.method_training"
)

EXAMPLES = (Example("a quick", " fox"), Example("a lazy", " dog"))
METHOD = Method("grown", "g_freeze", 1e-2, layers=1, anchor=1.0)
PLAN = Plan(
    model="tiny",
    task="rows.jsonl",
    anchor_text="base",
    methods=(METHOD,),
    updates=1,
    batch_size=2,
    sequence_length=16,
)
pytestmark = pytest.mark.once


def made(name):
    # What balances the experts is no loss of the tokens.
    options = {"router_aux_loss_coefficient": 0.0} if "MoE" in name else {}
    return speaking_family(name, **options)


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"PaliGemma"}))
def test_an_update_of_every_family_has_the_loss_of_its_own_pass(
    name, monkeypatch
):
    with few_programs():
        lm = made(name)
        monkeypatch.setattr(method_training, "load_causal_lm", lambda *_: lm)
        monkeypatch.setattr(
            method_training,
            "_anchor",
            lambda *_: method_training.KLAnchor([[5, 6, 7]], length=4, top_k=3),
        )
        ready = method_training.prepare(PLAN, METHOD, 1e-2, 0, EXAMPLES)
        x, y, weight = ready.data
        logits = ops.convert_to_numpy(lm(x)).astype("float64")
        before = [np.array(ops.convert_to_numpy(w)) for w in lm.weights]
        step, loss = ready.update(0, 1)
    assert step == 1
    chosen = np.take_along_axis(logits, y[..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - chosen
    # Keras' mean is over the positions of the length that rows are cut to;
    # the anchor adds nothing yet.
    wanted = [(losses * weight).sum() / (2 * n) for n in ready.lengths]
    assert any(loss == pytest.approx(each, rel=1e-3) for each in wanted)
    moved = {
        id(weight)
        for weight, array in zip(lm.weights, before, strict=True)
        if not np.array_equal(array, ops.convert_to_numpy(weight))
    }
    assert moved == {id(weight) for weight in lm.trainable_weights}


def test_a_family_of_images_is_refused_with_what_it_takes():
    with pytest.raises(ValueError, match=r"takes \['images'"):
        Scorer(made("PaliGemma"))

"""A comparison trains a model of every family that reads text.

One family per kind of block is tested; `--every-family` adds the rest.
"""

import importlib

import numpy as np
import pytest
from family_models import batch_for
from family_models import few_programs
from family_models import parametrize_families
from family_models import speaking_family
from family_models import tiny_family
from keras import ops
from tiny_models import compiled_outputs

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.kinds import KINDS
from keras_grow.evaluation import Scorer
from keras_grow.tasks import Example

method_training = importlib.import_module(
    "keras_grow.comparison.method_training"
)

FAMILIES = ("Gemma 3n", "GPT-NeoX", "Qwen 3.5", "Qwen-MoE")
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


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        parametrize_families(metafunc, "name", FAMILIES, ["PaliGemma"])


@pytest.fixture(scope="module")
def name(request):
    with few_programs():
        yield request.param


def made(name):
    # What balances the experts is no loss of the tokens.
    options = {"router_aux_loss_coefficient": 0.0} if "MoE" in name else {}
    return speaking_family(name, **options)


def test_an_update_of_every_family_has_the_loss_of_its_own_pass(
    name, monkeypatch
):
    lm = made(name)
    monkeypatch.setattr(method_training, "load_causal_lm", lambda *_: lm)
    monkeypatch.setattr(
        method_training,
        "_anchor",
        lambda *_: method_training.KLAnchor([[5, 6, 7]], length=4, top_k=3),
    )
    ready = method_training.prepare(PLAN, METHOD, 1e-2, 0, EXAMPLES)
    x, y, weight = ready.data
    logits = compiled_outputs(lm, x).astype("float64")
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


ATTENTION = ("grow_heads", "grow_head_dim", "grow_mlp_and_heads")
GEMMAS = ("Gemma", "Gemma 2", "Gemma 3")


def test_every_kind_of_method_preserves_the_function_or_is_refused(name):
    x = batch_for(name)
    base = ops.convert_to_numpy(tiny_family(name)(x))
    for kind in KINDS:
        layers = 1 if kind == "block_expansion" else None
        method = Method(kind, kind, 1e-3, rank=2, layers=layers)
        lm = tiny_family(name)
        only_gemmas = kind in (*ATTENTION, "block_expansion")
        if only_gemmas and name not in GEMMAS:
            with pytest.raises(ValueError, match="Received: "):
                method.prepare(lm)
            continue
        lm = method.prepare(lm)
        found = ops.convert_to_numpy(lm(x))
        np.testing.assert_allclose(found, base, atol=1e-4, err_msg=kind)
        assert lm.trainable_weights, kind
        if kind == "lora":
            # KerasHub trains the biases of the layers that it adapts.
            names = [weight.name for weight in lm.trainable_weights]
            adapted = {n for n in names if n != "bias"}
            assert adapted == {"lora_kernel_a", "lora_kernel_b"}


def test_a_family_that_takes_images_is_refused_with_its_inputs_named():
    with pytest.raises(ValueError, match=r"takes \['images'"):
        Scorer(made("PaliGemma"))

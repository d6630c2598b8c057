"""The rivals of growth train what they name, by the formulas they cite."""

import re

import numpy as np
import pytest
from tiny_models import tiny_lm

from keras_grow.comparison import Method

ATTENTION = {"query", "key", "value", "attention_output"}
MLP = {"ffw_gating", "ffw_gating_2", "ffw_linear"}
LAYERS = {"attention": ATTENTION, "mlp": MLP, "all": ATTENTION | MLP}


def trained(lm):
    """The block and the layer of every weight that trains."""
    found = {}
    for weight in lm.trainable_weights:
        block, layer = re.search(
            r"decoder_block_(\d+)/(?:.*/)?(\w+)/\w+$", weight.path
        ).groups()
        found.setdefault((int(block), layer), []).append(weight)
    return found


@pytest.fixture(scope="module")
def model():
    """A model of two blocks that no test changes the weights of."""
    return lambda: tiny_lm("gemma3", num_layers=2)


@pytest.mark.parametrize("targets", LAYERS)
def test_sft_and_lora_train_the_projections_that_they_target(model, targets):
    lm = Method("m", "sft", 1e-3, layers=(1,), targets=targets).prepare(model())
    assert trained(lm).keys() == {(1, name) for name in LAYERS[targets]}

    lm = Method("m", "lora", 1e-3, rank=2, targets=targets).prepare(model())
    found = trained(lm)
    assert found.keys() == {(b, n) for b in (0, 1) for n in LAYERS[targets]}
    shapes = [sorted(tuple(w.shape) for w in pair) for pair in found.values()]
    assert all(len(pair) == 2 for pair in shapes)
    assert all(any(2 in shape for shape in pair) for pair in shapes)
    count = sum(int(np.prod(s)) for pair in shapes for s in pair)
    asked = Method("m", "lora", 1e-3, parameters=count, targets=targets)
    assert asked.prepare(model()).backbone._lora_rank == 2


def test_sft_of_blocks_trains_all_of_them_and_nothing_else(model):
    lm = Method("m", "sft", 1e-3, layers=1).prepare(model())
    ids = {id(weight) for weight in lm.trainable_weights}
    assert ids == {id(w) for w in lm.backbone.transformer_layers[1].weights}


@pytest.mark.no_backend
def test_settings_of_rivals_are_refused_where_nothing_reads_them():
    for kind, changes, message in [
        ("g_freeze", {"targets": "mlp"}, "`targets` for.*'sft', 'lora'"),
        ("sft", {"targets": "query"}, "targets='query'"),
    ]:
        with pytest.raises(ValueError, match=message):
            Method("m", kind, 1e-3, **changes)

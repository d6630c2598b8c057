"""The rivals of growth train what they claim, by the formulas they cite."""

import re

import numpy as np
import pytest
from family_models import tiny_family
from keras import ops
from tiny_models import tiny_lm

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.method_training import prepare
from keras_grow.comparison.pruning import forgetting_aware_metric
from keras_grow.comparison.pruning import keep_entries
from keras_grow.comparison.shares import Change
from keras_grow.tasks.example import Example

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
    """Function that makes a model of two blocks."""
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


@pytest.mark.parametrize("targets", [None, "mlp"])
def test_lora_trains_no_bias(targets):
    lm = Method("m", "lora", 1e-3, targets=targets).prepare(
        tiny_family("GPT-2")
    )
    names = {weight.name for weight in lm.trainable_weights}
    assert names == {"lora_kernel_a", "lora_kernel_b"}


def test_sft_of_blocks_trains_all_of_them_and_nothing_else(model):
    lm = Method("m", "sft", 1e-3, layers=1).prepare(model())
    ids = {id(weight) for weight in lm.trainable_weights}
    assert ids == {id(w) for w in lm.backbone.transformer_layers[1].weights}


@pytest.mark.no_backend
def test_settings_of_rivals_are_refused_for_methods_that_ignore_them():
    for kind, changes, message in [
        ("g_freeze", {"targets": "mlp"}, "`targets` for.*'sft', 'lora'"),
        ("sft", {"targets": "query"}, "targets='query'"),
        ("lora", {"prune": "fapm"}, "`prune` for.*'sft', 'sft_up'"),
        ("sft", {"prune": "x"}, "prune='x'"),
        ("sft", {"token_weights": "x"}, "token_weights='x'"),
        ("sft", {"most_perplexity": 0.5}, "most_perplexity=0.5"),
    ]:
        with pytest.raises(ValueError, match=message):
            Method("m", kind, 1e-3, **changes)


@pytest.mark.no_backend
def test_fapm_is_the_formula_of_the_paper():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 5, 4)).astype("float32")
    old[0, 0] = 0.0
    metric = forgetting_aware_metric(old, new)
    average = sum(abs(w) for w in old.flat) / old.size
    for place in np.ndindex(old.shape):
        change, size = abs(new[place] - old[place]), abs(old[place])
        wanted = change - average * change / size if size else -np.inf
        assert metric[place] == pytest.approx(wanted, rel=1e-5)
    order = sorted(np.ndindex(old.shape), key=lambda place: -metric[place])
    kept = keep_entries(old, new, 0.3)
    for rank, place in enumerate(order):
        assert kept[place] == (new if rank < 6 else old)[place]
    assert keep_entries(old, new, 0.0) is old
    assert keep_entries(old, new, 1.0) is new


def test_a_share_of_a_pruned_change_is_that_share_of_its_entries(
    model, monkeypatch
):
    method = Method("m", "sft", 1e-3, layers=1, targets="mlp", prune="fapm")
    lm = method.prepare(model())
    before = [np.array(w.numpy()) for w in lm.trainable_weights]
    for weight in lm.trainable_weights:
        weight.assign(weight + 0.1)
    monkeypatch.setattr(
        "keras_grow.comparison.shares.load_causal_lm", lambda *_: model()
    )
    plan = Plan("model", "task", (method,))
    Change(lm, plan, method, 0).keep(0.25)
    for weight, start in zip(lm.trainable_weights, before, strict=True):
        moved = np.abs(weight.numpy() - start)
        assert np.count_nonzero(moved > 0.05) == round(0.25 * start.size)
        # Of one change, what is kept is what the largest weights got.
        assert moved[np.abs(start) == np.abs(start).max()].all()
    with pytest.raises(ValueError, match="of 1 or less"):
        Plan("model", "task", (method,), shares=(2.0,))


def test_a_rival_trains_with_its_settings(monkeypatch):
    monkeypatch.setattr(
        "keras_grow.comparison.method_training.load_causal_lm",
        lambda *_: tiny_lm(tokenizer=True, num_layers=1),
    )
    examples = tuple(Example("the", f" {word}") for word in ("fox", "dog"))

    def data(**settings):
        method = Method("m", "sft", 1e-3, token_weights="dft", **settings)
        plan = Plan("model", "task", (method,), updates=1, batch_size=2)
        run = prepare(plan, method, 1e-3, 0, examples)
        assert run.lm.train_step.__self__.token_weights == "dft"
        return run.lm, *run.data

    lm, x, y, weights = data()
    logits = ops.convert_to_numpy(lm(x)).astype("float64")
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p = np.take_along_axis(p, y[..., None], -1)[..., 0]
    least = np.quantile(p[weights > 0], 0.5, method="lower")
    *_, found = data(most_perplexity=1.001 / least)
    np.testing.assert_array_equal(found, weights * (p >= least))
    assert 0 < found.sum() < weights.sum()

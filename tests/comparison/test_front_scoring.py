"""The scores of `examples/front` against the model's own logits, in NumPy."""

import jax
import keras
import numpy as np
import pytest
from front_modules import front_modules

if keras.backend.backend() != "jax":
    pytest.skip("the example runs on JAX", allow_module_level=True)

prepare, scoring, token_rows = front_modules("prepare", "scoring", "token_rows")


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    data = {}
    for name in scoring.SETS:
        data[f"{name}_ids"] = rng.integers(1, 300, (4, 10), dtype=np.int32)
        data[f"{name}_first"] = np.array([1, 3, 4, 6], np.int32)
        data[f"{name}_length"] = np.array([10, 7, 9, 8], np.int32)
    data["winogrande_gold"] = np.array([0, 1], np.int8)
    anchor = rng.integers(1, 300, (4, 8), dtype=np.int32)
    lm = prepare.base(None)
    rows = {key: data[f"tuning_{key}"] for key in ("ids", "first", "length")}
    method = prepare.Trained("g_train", lm, 20, [], rows, anchor)
    scores = scoring.Scoring(lm, data)
    method.at(0.0, method.start)
    scores.keep_base()
    base = _log_probs(lm, data, "validation")
    method.reset(1e-3, 0)
    for variable in method.trained:
        noise = rng.normal(size=variable.shape).astype(np.float32)
        variable.assign(variable.value + 0.1 * noise)
    return lm, method, scores, data, base


def _log_probs(lm, data, name):
    places = np.arange(10) < data[f"{name}_length"][:, None]
    inputs = {"token_ids": data[f"{name}_ids"], "padding_mask": places}
    # A function of its own each time: the weights are constants of it.
    logits = np.asarray(jax.jit(lambda x: lm(x))(inputs), np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_scores_are_those_of_the_full_logits(made, share):
    lm, method, scores, data, base = made
    method.at(share, [])
    found = scores.run(method.state(share))
    for name in ("lambada", "validation"):
        log_probs, ids = _log_probs(lm, data, name), data[f"{name}_ids"]
        for row in range(4):
            first, length = (
                data[f"{name}_{n}"][row] for n in ("first", "length")
            )
            at = np.arange(first, length)
            new, old = log_probs[row, at - 1], base[row, at - 1]
            nll = -new[np.arange(len(at)), ids[row, at]].sum()
            assert found[f"{name}_nll"][row] == pytest.approx(nll, rel=1e-5)
            if name == "lambada":
                right = (new.argmax(axis=1) == ids[row, at]).all()
                assert found["lambada_right"][row] == right
            else:
                kl = (np.exp(old) * (old - new)).sum()
                assert found["validation_kl"][row] == pytest.approx(
                    kl, abs=1e-4
                )
    first, second = found["winogrande_nll"][:2]
    assert found["winogrande_right"][0] == (first < second)


def test_a_batch_supervises_the_response_alone(made):
    data = made[3]
    rows = {key: data[f"tuning_{key}"] for key in ("ids", "first", "length")}
    x, labels, weights = token_rows.Rows(rows, 4, 0, 0, 1)[0]
    scored = sum(rows["length"] - rows["first"])
    assert weights.sum() == scored
    row, column = np.argwhere(weights)[0]
    assert labels[row, column] == x["token_ids"][row, column + 1]


def test_what_a_method_does_not_train_stays(made):
    data = made[3]
    rows = {key: data[f"tuning_{key}"] for key in ("ids", "first", "length")}
    method = prepare.Trained(
        "sft_up+self", prepare.base(None), 2, [], rows, data["tuning_ids"]
    )
    # Of 2 blocks: a gate and an up-projection, 16 by 32 each.
    assert method.parameters == 2 * 2 * 16 * 32
    before = {v.path: np.array(v.value) for v in method.lm.variables}
    method.reset(1e-3, 0)
    method.train(2, 0, 0, 2)
    moved = {
        v.path
        for v in method.lm.backbone.variables
        if not np.array_equal(before[v.path], v.value)
    }
    assert moved == {v.path for v in method.trained}
    assert all("ffw_gating" in path for path in moved)

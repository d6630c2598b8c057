"""Rankings with no SFT run: gradients and the spectrum of the weights."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import NUM_LAYERS
from tiny_models import tiny_lm
from tiny_models import token_batch

from keras_grow import grow_model
from keras_grow.selection import rank_by_gradient
from keras_grow.selection import rank_by_signal_to_noise
from keras_grow.selection.spectrum import signal_to_noise

SLOTS = ("gating_ffw", "gating_ffw_2", "ffw_linear")


def batch(seed: int) -> tuple:
    x = token_batch(seed=seed)
    return x, np.roll(x["token_ids"], -1, axis=1), x["padding_mask"] * 1.0


def mlp(lm) -> list[np.ndarray]:
    """The MLP kernels of each block, flat."""
    return [
        np.concatenate(
            [ops.convert_to_numpy(getattr(b, s).kernel).ravel() for s in SLOTS]
        )
        for b in lm.backbone.transformer_layers
    ]


def test_gradient_scores_are_the_size_of_a_step_of_plain_descent():
    lm = tiny_lm("gemma", num_layers=2)
    lm.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    optimizer, loss = lm.optimizer, lm.loss
    weights = [ops.convert_to_numpy(w).copy() for w in lm.weights]
    scores = rank_by_gradient(lm, [batch(0)])

    # Nothing of the caller's has changed.
    assert lm.optimizer is optimizer
    assert lm.loss is loss
    for old, new in zip(weights, lm.weights, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(new))

    # At a learning rate of 1 each kernel moves by its gradient.
    before = mlp(lm)
    lm.train_on_batch(*batch(0))
    wanted = [
        np.linalg.norm(new - old) / np.linalg.norm(old)
        for old, new in zip(before, mlp(lm), strict=True)
    ]
    assert list(scores) == np.argsort(wanted)[::-1].tolist()
    np.testing.assert_allclose(
        scores.scores, sorted(wanted, reverse=True), rtol=1e-3
    )


def test_batches_are_combined_by_root_mean_square():
    lm = tiny_lm("gemma", num_layers=1)
    one, two, both = (
        rank_by_gradient(lm, batches, relative=False).scores[0]
        for batches in ([batch(0)], [batch(1)], [batch(0), batch(1)])
    )
    assert both == pytest.approx(np.sqrt((one**2 + two**2) / 2), rel=1e-4)


def test_gradient_misuse_is_named():
    lm = tiny_lm()
    with pytest.raises(ValueError, match="at least one batch"):
        rank_by_gradient(lm, [])
    with pytest.raises(ValueError, match="batches of `"):
        rank_by_gradient(lm, [token_batch()])
    with pytest.raises(TypeError, match=r"are logits.*the backbone"):
        rank_by_gradient(lm.backbone, [batch(0)])
    for slot in SLOTS:
        kernel = getattr(lm.backbone.transformer_layers[0], slot).kernel
        kernel.assign(kernel * 0.0)
    with pytest.raises(ValueError, match=r"norm of 0.*relative=False"):
        rank_by_gradient(lm, [batch(0)])
    lm.backbone.transformer_layers[1].trainable = False
    with pytest.raises(ValueError, match="Expected every MLP kernel"):
        rank_by_gradient(lm, [batch(0)])


@pytest.mark.no_backend
def test_signal_to_noise_is_that_of_its_definition():
    values = np.array([10.0, 4.0, 3.0, 2.0, 1.0])
    kernel = np.diag(values)
    # Quartiles 2 and 4; edge 2 / 1.349 * (1 + 1) = 2.965.
    assert signal_to_noise(kernel) == pytest.approx((10 + 4 + 3) / 3 / 10)


def test_a_block_with_planted_structure_has_the_best_signal_to_noise():
    lm = tiny_lm(num_layers=4)
    rng = np.random.default_rng(0)
    for slot in SLOTS:
        kernel = getattr(lm.backbone.transformer_layers[2], slot).kernel
        n, m = kernel.shape
        planted = np.zeros((n, m))
        for _ in range(2):
            planted += np.outer(rng.normal(size=n), rng.normal(size=m))
        noise = 0.2 * ops.convert_to_numpy(kernel)
        kernel.assign(noise + planted.astype("float32"))
    scores = rank_by_signal_to_noise(lm)
    assert scores.blocks[0] == 2
    assert np.mean(scores.scores) == pytest.approx(1.0)


def test_signal_to_noise_of_attention_counts_heads_side_by_side():
    scores = rank_by_signal_to_noise(tiny_lm(), over="all")
    assert len(scores) == NUM_LAYERS


def test_a_grown_model_is_refused():
    with pytest.raises(ValueError, match="neither grown nor quantized"):
        rank_by_signal_to_noise(grow_model(tiny_lm()))

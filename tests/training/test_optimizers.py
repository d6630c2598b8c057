"""Optimizers across growing and across an interruption of training."""

import keras
import numpy as np
import pytest
from keras import optimizers
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

OPTIMIZERS = {
    "adam": lambda: optimizers.Adam(1e-2),
    "adamw": lambda: optimizers.AdamW(1e-2, weight_decay=0.1),
    "lion": lambda: optimizers.Lion(1e-3),
    "adafactor": lambda: optimizers.Adafactor(1e-2),
    "muon": lambda: optimizers.Muon(1e-2),
    "momentum": lambda: optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "ema": lambda: optimizers.Adam(
        1e-2, use_ema=True, ema_overwrite_frequency=3
    ),
    "loss_scale": lambda: optimizers.LossScaleOptimizer(
        optimizers.Adam(1e-2), dynamic_growth_steps=2
    ),
    "accumulation": lambda: optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=3
    ),
}
STEPS = [
    {"x": token_batch(2, 6, seed), "y": token_batch(2, 6, seed)["token_ids"]}
    for seed in range(4)
]


def compiled(lm, optimizer):
    lm.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    # One row at a time: a single branch to compile.
    return keras_grow.supervised_logits(lm, chunk_size=1)


def steps(lm, data):
    return [lm.train_on_batch(**batch) for batch in data]


@pytest.fixture(scope="module")
def grown():
    return keras_grow.grow_model(tiny_lm(num_layers=1))


@pytest.fixture(scope="module")
def other():
    return keras_grow.grow_model(tiny_lm(num_layers=1, seed=1))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_resumes_from_a_file_as_if_it_had_not_stopped(
    name, grown, other, tmp_path
):
    start = grown.get_weights()
    compiled(grown, OPTIMIZERS[name]())
    steps(grown, STEPS[:2])
    grown.save_weights(tmp_path / "lm.weights.h5")
    expected = steps(grown, STEPS[2:])
    weights = grown.get_weights()
    grown.set_weights(start)

    # KerasHub compiles a task anew when it loads one from `.keras`, and the
    # optimizer's state is left out with a warning: this is the way that keeps
    # it, and that of `BackupAndRestore`.
    again = compiled(other, OPTIMIZERS[name]())
    again.optimizer.build(again.trainable_variables)
    again.load_weights(tmp_path / "lm.weights.h5")
    np.testing.assert_allclose(steps(again, STEPS[2:]), expected, rtol=1e-6)
    for a, b in zip(again.get_weights(), weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


class Switched(optimizers.SGD):
    """An optimizer with a setting that its config leaves out."""

    switch = False


def test_growing_keeps_settings_that_no_config_holds():
    lm = tiny_lm(num_layers=1)
    spared = lm.backbone.token_embedding.embeddings
    optimizer = optimizers.AdamW(1e-3, weight_decay=0.5)
    optimizer.exclude_from_weight_decay([spared], ["kernel_of_mine"])
    lm.compile(optimizer=optimizers.LossScaleOptimizer(optimizer))
    keras_grow.grow_model(lm)
    inner = lm.optimizer.inner_optimizer
    assert inner is not optimizer
    assert not inner._use_weight_decay(spared)
    assert inner._use_weight_decay(lm.trainable_variables[0])
    assert inner._exclude_from_weight_decay_pattern.pattern == "kernel_of_mine"

    optimizer = Switched(1e-3)
    optimizer.switch = True
    lm.compile(optimizer=optimizer)
    keras_grow.remove_growth(lm)
    assert lm.optimizer is not optimizer
    assert lm.optimizer.switch is True

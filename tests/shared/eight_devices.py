"""Run by the tests in a process with eight virtual CPU devices.

`python eight_devices.py CASES FOLDER` trains a tiny grown model twice for each
case, on one device and on eight, and writes what the tests compare into a
folder for each, `0` and on.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tiny_models

import keras_grow
from keras_grow.distribution import distribute
from keras_grow.distribution import memory_per_device

STEPS = 4


def losses(lm):
    """The loss curve of a few steps on one batch of eight rows."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, 80, (8, 12)).astype("int32")
    weights = (rng.random(tokens.shape) < 0.4).astype("float32")
    tokens, weights = np.tile(tokens, (STEPS, 1)), np.tile(weights, (STEPS, 1))
    x = {"token_ids": tokens, "padding_mask": np.ones_like(tokens, bool)}
    curve = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.reset_metrics()

        def on_train_batch_end(self, batch, logs=None):
            curve.append(float(logs["loss"]))

    lm.fit(
        x,
        np.roll(tokens, -1, axis=1),
        sample_weight=weights,
        batch_size=8,
        shuffle=False,
        verbose=0,
        callbacks=[Keep()],
    )
    return curve


def make(family, strategy, supervised_logits, older):
    lm = tiny_models.tiny_lm(family, num_layers=2)
    if older:
        keras_grow.grow_model(lm, name="older")
        keras_grow.set_growths(lm, {"older": 0.5})
    keras_grow.grow_model(lm, layers=[1], strategy=strategy, name="newer")
    if supervised_logits:
        keras_grow.supervised_logits(lm, chunk_size=16)
    # Before the model moves, if it does.
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-2),
    )
    return lm


def device_bytes(variables):
    """Bytes of the variables on the first device."""
    return sum(v.value.addressable_shards[0].data.nbytes for v in variables)


def split(lm):
    """Paths of the weights that the first device holds in part."""
    return [
        weight.path
        for weight in lm.weights
        if weight.value.addressable_shards[0].data.shape != weight.shape
    ]


def run(case, folder):
    """Train twice as `case` says and write the results."""
    keras.utils.set_random_seed(0)
    keras.distribution.set_distribution(None)
    settings = ("family", "strategy", "supervised_logits", "older")
    options = [case[name] for name in settings]
    one = losses(make(*options))

    mesh = None
    if case["mesh"] is None:
        distribution = keras.distribution.DataParallel()
    else:
        mesh = keras.distribution.DeviceMesh(case["mesh"], ("batch", "model"))
        layouts = keras_grow.layout_map(make(*options), mesh)
        distribution = keras.distribution.ModelParallel(layout_map=layouts)
    if case["move"]:
        lm = make(*options)
        keras.distribution.set_distribution(distribution)
        distribute(lm, distribution)
    else:
        keras.distribution.set_distribution(distribution)
        lm = make(*options)
    eight = losses(lm)
    keras_grow.save_growth(lm, folder / "eight.grow.safetensors")
    x = tiny_models.token_batch()
    np.save(folder / "hidden.npy", np.asarray(lm.backbone(x)))
    report = {
        "one": one,
        "eight": eight,
        "split": split(lm),
        "weight_bytes": device_bytes(lm.weights),
        "moment_bytes": device_bytes(
            v for v in lm.optimizer.variables if len(v.shape) > 1
        ),
    }
    if mesh is not None:
        memory = memory_per_device(lm, mesh)
        report["forecast"] = {
            "weights": memory.frozen + memory.trainable,
            "moments": memory.moments,
        }
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    for index, case in enumerate(json.loads(sys.argv[1])):
        made = Path(sys.argv[2]) / str(index)
        made.mkdir()
        run(case, made)

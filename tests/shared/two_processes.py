"""Run by the tests as two processes with four virtual CPU devices each.

`python two_processes.py NUMBER PORT FOLDER PART...` runs some of these parts
and writes what the tests compare into the folder:

    trains   trains a tiny grown model data parallel and model parallel, and
             saves the growth of the second
    dies     trains it model parallel with checkpoints; process 1 is killed
    resumes  goes on from the last checkpoint, saves the growth and loads it
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import tiny_models

import keras_grow
from keras_grow.distribution import distribute
from keras_grow.distribution import processes
from keras_grow.saving import fingerprint

STEPS = 4
DIES_AT = 2
# Bytes: a weight's largest row. The largest weight has ten times as many.
CHUNK = 512


def batch():
    """Eight rows of tokens and the weights of their losses."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, 80, (8, 12)).astype("int32")
    return tokens, (rng.random(tokens.shape) < 0.4).astype("float32")


def data():
    """The batch as a data set, which Keras spreads over the processes."""
    tokens, weights = batch()
    x = {"token_ids": tokens, "padding_mask": np.ones_like(tokens, bool)}
    rows = x, np.roll(tokens, -1, axis=1), weights
    # Keras must know the size of a batch.
    return tf.data.Dataset.from_tensor_slices(rows).batch(8, True)


def make():
    keras.utils.set_random_seed(0)
    return tiny_models.tiny_lm("gemma3", num_layers=2)


def grow(lm):
    keras_grow.grow_model(lm, layers=[1])
    keras_grow.supervised_logits(lm, chunk_size=16)
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # Keras finds what it restores by name, and would number the optimizers.
        optimizer=keras.optimizers.Adam(1e-2, name="adam"),
        weighted_metrics=[],
    )
    return lm


def losses(lm, callbacks=(), first=0):
    """The loss curve of epochs of one batch."""
    history = keras.Model.fit(
        lm,
        data(),
        epochs=STEPS,
        initial_epoch=first,
        verbose=0,
        callbacks=[*callbacks],
    )
    return [float(loss) for loss in history.history["loss"]]


def model_parallel():
    mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
    layouts = keras_grow.layout_map(make(), mesh)
    return keras.distribution.ModelParallel(layout_map=layouts)


class Dies(keras.callbacks.Callback):
    """Kill the second process after both have saved the previous epoch."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == DIES_AT:
            processes.any_process(False)
            if self.number:
                os.kill(os.getpid(), signal.SIGKILL)


def checkpointed(folder, *callbacks):
    """Train with a checkpoint after every epoch, from the last there is.

    Returns the model, the first epoch, and the losses from there.
    """
    keras.distribution.set_distribution(model_parallel())
    lm = grow(make())
    folder = folder / "checkpoints"
    first = 0
    if folder.is_dir():
        lm.optimizer.build(lm.trainable_variables)
        lm.load_weights(folder)
        first = int(lm.optimizer.iterations)
    saves = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=False)
    return lm, first, losses(lm, [saves, *callbacks], first)


def trains(folder, number):
    """The loss curves of both layouts, and how the second was saved."""
    report = {}
    distribution = keras.distribution.DataParallel()
    keras.distribution.set_distribution(distribution)
    lm = grow(make())
    report["data_parallel"] = losses(lm)
    keras.distribution.set_distribution(None)
    # A model that each process has whole, and then in parts.
    lm = make()
    distribution = model_parallel()
    keras.distribution.set_distribution(distribution)
    distribute(lm, distribution)
    grow(lm)
    report["model_parallel"] = losses(lm)
    report["spread"] = [w.path for w in lm.weights if processes.is_spread(w)]
    keras_grow.save_growth(lm, folder / f"of_{number}.grow.safetensors")

    blocks = []
    summed = processes._sum
    processes._sum = lambda x: blocks.append(x.nbytes) or summed(x)
    fingerprint.CHUNK = CHUNK
    in_parts = fingerprint.base_fingerprint(lm)
    processes._sum = summed
    keras.distribution.set_distribution(None)
    report["same_in_parts"] = in_parts == fingerprint.base_fingerprint(make())
    report["largest_block"] = max(blocks)
    return report


def dies(folder, number):
    """A training in which process 1 is killed before the third epoch."""
    checkpointed(folder, Dies(number))


def resumes(folder, number):
    """The rest of that training, and its growth on a new base."""
    lm, first, curve = checkpointed(folder)
    path = folder / "resumed.grow.safetensors"
    keras_grow.save_growth(lm, path)
    keras_grow.load_growth(make(), path)
    return {"first": first, "losses": curve}


def main(number, port, folder, *what):
    import jax

    # Before anything is computed.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    keras.distribution.initialize(f"localhost:{port}", 2, int(number))
    for part in (trains, dies, resumes):
        if part.__name__ in what:
            report = part(Path(folder), int(number))
            path = Path(folder) / f"{part.__name__}_{number}.json"
            path.write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

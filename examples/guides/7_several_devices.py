"""Guide 7: one model over several devices, and over several machines."""

# %% [markdown]
# # 7. Several devices
#
# At the end you know how much memory a model of 27 billion parameters needs per
# device, and you have trained a growth on a model that is split over four
# devices, whose file loads on one. Keras splits models on the JAX backend only,
# through `keras.distribution`. Without accelerators, four virtual devices on
# the CPU stand in for them: slower, but the same program. The end says what to
# write for a GPU node or a TPU pod. It takes about half a minute on two quiet
# cores.

# %%
import os
import pathlib

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import keras
import keras_hub

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.distribution import distribute
from keras_grow.distribution import memory_per_device
from keras_grow.distribution import shapes_only
from keras_grow.tasks import encode
from keras_grow.tasks import gettext_en_fr

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "16"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The forecast comes first. `shapes_only` makes a model without memory for its
# weights, so that a laptop can plan for a cluster. This is Gemma 3 27B in
# bfloat16 with its last ten blocks grown. The devices need not exist.

# %%
GEMMA3_27B = dict(
    vocabulary_size=262144,
    image_size=None,
    num_layers=62,
    num_query_heads=32,
    num_key_value_heads=16,
    hidden_dim=5376,
    intermediate_dim=21504,
    head_dim=128,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
    use_sliding_window_attention=True,
)
with shapes_only():
    large = keras_hub.models.Gemma3Backbone(**GEMMA3_27B, dtype="bfloat16")
growth = keras_grow.GrowthConfig(factor=2, layers=tuple(range(52, 62)))
for count in (1, 8, 16):
    mesh = keras.distribution.DeviceMesh(
        (1, count),
        ("batch", "model"),
        devices=[f"gpu:{index}" for index in range(count)],
    )
    memory = memory_per_device(large, mesh, growth)
    print(f"{count:2} devices: {memory.total / 1e9:6.1f} GB each")
del large

# %% [markdown]
# Now the devices of this machine. A mesh has an axis for the rows of a batch
# and one for the parts of the model. `layout_map` says for every weight,
# including those of later growths, which of its axes are split; `distribute`
# moves a model that is already loaded. If a model is too large for one device,
# build it inside `distribution.scope()`: its weights are split from the start.
#
# If memory is not a concern, `keras.distribution.DataParallel()` replaces both:
# each device then holds the whole model and a part of the batch.

# %%
devices = keras.distribution.list_devices()
rows = 2 if len(devices) % 2 == 0 else 1
mesh = keras.distribution.DeviceMesh(
    (rows, len(devices) // rows), ("batch", "model")
)
lm = load_causal_lm(MODEL)
layout = keras_grow.layout_map(lm, mesh)
distribution = keras.distribution.ModelParallel(layout_map=layout)
keras.distribution.set_distribution(distribution)
distribute(lm, distribution)

# %% [markdown]
# From here on the program is the usual one.

# %%
keras_grow.grow_model(lm, layers=1, name="french")
lm.compile(
    optimizer=keras.optimizers.Adam(5e-5),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    weighted_metrics=[],
)
keras_grow.supervised_logits(lm)
x, y, sample_weight = encode(
    gettext_en_fr().train[:ROWS], lm.preprocessor.tokenizer
)
keras.Model.fit(
    lm, x, y, sample_weight=sample_weight, batch_size=8, epochs=2, verbose=2
)
weights = [weight.value for weight in lm.weights]
total = sum(value.nbytes for value in weights)
first = sum(value.addressable_shards[0].data.nbytes for value in weights)
share = f"{first / total:.0%} of the model"
print(f"{len(devices)} devices, the first holds {share}")

# %% [markdown]
# A growth file does not depend on devices: it loads on one.

# %%
path = FOLDER / "split.grow.safetensors"
keras_grow.save_growth(lm, path)
keras.distribution.set_distribution(None)
one = keras_grow.load_growth(load_causal_lm(MODEL), path)
print("on one device:", list(keras_grow.growths(one)))

# %% [markdown]
# ## A GPU node, a TPU pod, several machines
#
# One machine with several GPUs, or one TPU board, is one process: run this
# script. With several machines, each runs the same script, with one line before
# anything is computed:
#
# ```python
# keras.distribution.initialize()  # TPU pod, Slurm: finds the others itself
# keras.distribution.initialize("10.0.0.1:1234", 2, process_id)  # else
# ```
#
# On a Cloud TPU pod `gcloud compute tpus tpu-vm ssh NAME --worker=all
# --command="python train.py"` starts it everywhere; under Slurm, `srun python
# train.py`. `list_devices` then returns the devices of all machines. What
# changes:
#
# - **Data.** Keras gives each process its share of a `tf.data.Dataset`, whose
#   batch size it must know: `dataset.batch(64, drop_remainder=True)`. With
#   arrays, each process passes its own rows. `LengthBuckets` works in one
#   process only.
# - **The growth.** All processes call `save_growth`; the first one writes. To
#   fingerprint the base, its weights pass through every process, 64 MB at a
#   time; no process holds the whole base. Each process that calls
#   `load_growth` reads the file.
# - **Restarts.** `pip install orbax-checkpoint`, and give `fit` the callback
#   below: all processes write their parts into a shared folder. If one dies,
#   restart all. Name the optimizer: Keras restores by name and silently skips
#   what it does not find. (`BackupAndRestore` writes whole weights from every
#   process, so it is for one process.)
#
# ```python
# lm.compile(keras.optimizers.Adam(5e-5, name="adam"), ...)
# if folder.is_dir():
#     lm.optimizer.build(lm.trainable_variables)
#     lm.load_weights(folder)
# first = int(lm.optimizer.iterations) // steps_per_epoch
# saves = keras.callbacks.OrbaxCheckpoint(folder, save_on_background=False)
# lm.fit(dataset, epochs=10, initial_epoch=first, callbacks=[saves])
# ```
#
# - **Scores and exports** read whole weights and outputs: load the growth in
#   one process for them.
#
# Of this, tests run two processes with four virtual devices each on one
# machine: both layouts against one process, the growth file, and a restart
# after a process is killed. Nothing here was run on a GPU node or a TPU pod.

# %% [markdown]
# Printed on Gemma 3 270M (JAX, four virtual devices on two CPU cores, 33
# seconds; five minutes when the cores were busy with other work):
#
# ```
#  1 devices:  109.5 GB each
#  8 devices:   13.7 GB each
# 16 devices:    6.8 GB each
# Epoch 1/2
# 2/2 - 8s - 4s/step - loss: 0.3778
# Epoch 2/2
# 2/2 - 4s - 2s/step - loss: 0.3143
# 4 devices, the first holds 26% of the model
# on one device: ['french']
# ```

"""Guide 8: another family of models, and one of your own."""

# %% [markdown]
# # 8. Another model family
#
# At the end you have grown a Llama and registered a family that the library
# does not know. Growing is the same for every family: Gemma, Llama, Mistral,
# Qwen, Phi, SmolLM, GPT-2 and others are rows of data
# (`examples/reference/families.md`). The weights here are random, so that
# nothing has to be downloaded and the guide takes seconds.
#
# For published weights, replace the first lines by
# `lm = keras_hub.models.CausalLM.from_preset("llama3.2_1b")`, or by
# `"hf://Qwen/Qwen3-0.6B"` or the folder of a transformers checkpoint: KerasHub
# converts it while loading.

# %%
import os
import pathlib

import keras
import keras_hub
import numpy as np

import keras_grow

FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

SHAPE = dict(
    vocabulary_size=128,
    num_layers=2,
    num_query_heads=4,
    num_key_value_heads=2,
    hidden_dim=32,
    intermediate_dim=64,
)
keras.utils.set_random_seed(0)
lm = keras_hub.models.LlamaCausalLM(
    backbone=keras_hub.models.LlamaBackbone(**SHAPE), preprocessor=None
)
tokens = np.arange(24, dtype="int32").reshape(2, 12)
batch = {"token_ids": tokens, "padding_mask": np.ones((2, 12), bool)}

# %%
base = keras.ops.convert_to_numpy(lm(batch))
keras_grow.grow_model(lm, name="llama_skill")
grown = keras.ops.convert_to_numpy(lm(batch))
print("largest difference after growing:", abs(grown - base).max())
print(keras_grow.growth_report(lm, length=12))

# %% [markdown]
# Training, files and the dial are as for Gemma.

# %%
lm.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
lm.fit(batch, np.roll(tokens, -1, axis=1), epochs=5, verbose=0)
keras_grow.save_growth(lm, FOLDER / "llama.grow.safetensors")
for scale in (0.0, 0.5, 1.0):
    keras_grow.set_growths(lm, {"llama_skill": scale})
    change = abs(keras.ops.convert_to_numpy(lm(batch)) - base).max()
    print(f"scale {scale}: largest change of a logit {change:.2f}")

# %% [markdown]
# A backbone that the library does not know needs one row: where its blocks
# are, which layers widen (`up`) and which one narrows (`down`), and the
# argument that sets the width. Given a backbone, `register_family` checks the
# row and names the first attribute that is missing.


# %%
class MyBackbone(keras_hub.models.LlamaBackbone):
    """A decoder of your own; here it is Llama's."""


row = keras_grow.Family(
    MyBackbone,
    up=("_feedforward_gate_dense", "_feedforward_intermediate_dense"),
    down="_feedforward_output_dense",
)
mine = MyBackbone(**SHAPE)
keras_grow.register_family(row, mine)
keras_grow.grow_model(mine, name="mine")
print(type(mine).__name__, list(keras_grow.growths(mine)))
try:
    keras_grow.register_family(row, mine)
except ValueError as error:
    print(error)

# %% [markdown]
# Printed (JAX, 23 s on two busy cores):
#
# ```
# largest difference after growing: 0.0
# llama_skill: g_freeze, factor 2, init copy, blocks 0-1 of 2, scale 1
#   trainable parameters          12,288  (45.9% of the base's)
#   frozen parameters             26,784
#   weights                     0.000 GB
#   training state              0.000 GB  (SFT in float32: 0.000 GB)
#   forward FLOPs                  1.511  of the base's, at 12 tokens
#   step FLOPs                     0.993  of SFT's
# scale 0.0: largest change of a logit 0.00
# scale 0.5: largest change of a logit 0.03
# scale 1.0: largest change of a logit 0.07
# GrownMyBackbone ['mine']
# Expected a backbone class that is not registered yet. Received: MyBackbone,
#   which is.
# ```

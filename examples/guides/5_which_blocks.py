"""Guide 5: which blocks to grow."""

# %% [markdown]
# # 5. Which blocks
#
# At the end you have a ranking of a model's blocks for your task, and a model
# grown in the best of them. Fewer grown blocks train faster, make a smaller
# file and change the model less; on hard tasks they learn less. It takes
# about a minute on two cores.

# %%
import os
import pathlib

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.selection import evenly_spaced
from keras_grow.selection import last_blocks
from keras_grow.selection import rank_by_gradient
from keras_grow.tasks import encode
from keras_grow.tasks import gettext_en_fr

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "16"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The cheapest ranking takes a few gradients of the task's loss and changes no
# weight. The paper's takes a short run of fine-tuning and ranks by what moved:
# `keras_grow.rank_layers(before, after)` on two models or checkpoints, or
# `keras-grow rank before.weights.h5 after.weights.h5` on files.

# %%
lm = load_causal_lm(MODEL)
data = encode(gettext_en_fr().train[:ROWS], lm.preprocessor.tokenizer)
scores = rank_by_gradient(lm, [tuple(data)])
print(scores)
scores.save(FOLDER / "scores.json")

# %% [markdown]
# A ranking goes where `layers` goes. So do a number (that many last blocks),
# indices, and `None` (all blocks).

# %%
n = max(1, len(scores) // 2)
print("by gradient:  ", sorted(scores.top(n).blocks))
print("last:         ", sorted(last_blocks(lm).top(n).blocks))
print("evenly spaced:", sorted(evenly_spaced(lm, n).blocks))
keras_grow.grow_model(lm, layers=scores.top(n), name="half")
print(keras_grow.growth_report(lm))

# %% [markdown]
# Printed on Gemma 3 270M (JAX, two busy CPU cores, a minute and a quarter):
#
# ```
# gradient: gradient norm of the MLP kernels, relative to their norm; 1 batch
# cost: a forward and a backward pass per batch
# rank  block  score
#    1      3  0.0421091
#    2      4  0.0389504
#    3     17  0.0358857
#    4      6  0.0261974
#    5     10  0.0257558
# (13 more)
# by gradient:   [0, 1, 2, 3, 4, 6, 10, 13, 17]
# last:          [9, 10, 11, 12, 13, 14, 15, 16, 17]
# evenly spaced: [1, 3, 5, 7, 9, 11, 13, 15, 17]
# half: g_freeze, factor 2, init copy, blocks 0-4, 6, 10, 13, 17 of 18, scale 1
#   trainable parameters      35,389,440  (13.2% of the base's)
#   frozen parameters        268,098,176
#   weights                     1.214 GB
#   training state              1.639 GB  (SFT in float32: 4.290 GB)
#   forward FLOPs                  1.123  of the base's, at 512 tokens
#   step FLOPs                     0.800  of SFT's
# ```

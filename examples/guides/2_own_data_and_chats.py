"""Guide 2: your own rows, and chats."""

# %% [markdown]
# # 2. Your own data and chats
#
# At the end you have read a CSV file and a file of chats, held a part of them
# out, and grown a model that answers as the chats do and stops by itself. It
# takes about a minute and a half on two quiet cores.

# %%
import json
import os
import pathlib

import keras

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.evaluation import generate
from keras_grow.tasks import encode
from keras_grow.tasks import file_task
from keras_grow.tasks import read_examples

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "24"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# Files of `prompt` and `response` are read as they are: JSON, JSONL, CSV with
# any usual separator, Parquet, gzip. A malformed row is reported with its line.

# %%
table = FOLDER / "pairs.csv"
table.write_text("prompt,response\n2 + 3 =, 5\n4 + 4 =, 8\n", "utf-8")
print(read_examples(table).examples)

broken = FOLDER / "broken.jsonl"
broken.write_text('{"prompt": "2 + 3 =", "response": 5}\n', "utf-8")
try:
    read_examples(broken)
except ValueError as error:
    print(error)

# %% [markdown]
# Chats are rows of `messages`. A template makes text of them: `"gemma"`,
# `"llama3"`, `"chatml"`, `"mistral"`, or your own in Jinja. The loss covers
# every answer of the assistant and what ends it, and nothing else.

# %%
NAMES = ["Ada", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gwen", "Hal"]
ASKED = ["Who is {}?", "Tell me about {}.", "Do you know {}?", "{}?"]
chats = FOLDER / "chats.jsonl"
chats.write_text(
    "".join(
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": asked.format(name)},
                    {
                        "role": "assistant",
                        "content": f"{name} is a gardener of ours.",
                    },
                ]
            }
        )
        + "\n"
        for asked in ASKED
        for name in NAMES
    ),
    "utf-8",
)
task = file_task("garden", chats, template="gemma", split=0.2)
print(len(task.train), "to train on,", len(task.validation), "held out")
print(repr(task.train[0].prompt), "->", repr(task.train[0].response))

# %% [markdown]
# `encode` makes token ids with the loss on the answers alone. They are the
# model's own inputs: `keras.Model.fit(lm, ...)` takes them without the
# preprocessing that `lm.fit` would do.

# %%
lm = load_causal_lm(MODEL)
keras_grow.grow_model(lm, name="garden")
lm.compile(
    optimizer=keras.optimizers.Adam(1e-4),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    weighted_metrics=[],  # Or Keras warns that the weights reach no metric.
)
keras_grow.supervised_logits(lm)
x, y, sample_weight = encode(task.train[:ROWS], lm.preprocessor.tokenizer)
keras.Model.fit(
    lm, x, y, sample_weight=sample_weight, batch_size=8, epochs=4, verbose=2
)

# %% [markdown]
# Rows of real data differ in length, and padding costs what tokens cost. With
# more rows than here, `LengthBuckets` batches rows of similar length. If only
# the last blocks are grown, `LowerStates` computes everything below them once.
#
# ```python
# data = keras_grow.LengthBuckets(x, y, sample_weight, batch_size=8)
# keras.Model.fit(lm, data, epochs=4)
# ```

# %% [markdown]
# An answer ends at the end of its turn. `generate` also ends it at a line
# break: if your answers have several lines, pass `stop=()`. With the growth
# off, the base model, which never learned to chat, does not answer.

# %%
asked = [row.prompt for row in task.validation[:2]]
print("grown:", generate(lm, asked, max_new_tokens=16))
with keras_grow.growth_disabled(lm):
    print("base: ", generate(lm, asked, max_new_tokens=16))

# %% [markdown]
# Printed on Gemma 3 270M, which is a base model (JAX, two busy CPU cores, two
# and a half minutes):
#
# ```
# (Example(prompt='2 + 3 =', response=' 5', ..., source='pairs.csv, line 2'),
#  Example(prompt='4 + 4 =', response=' 8', ..., source='pairs.csv, line 3'))
# broken.jsonl, line 1: Expected `response` to be text. Received: response=5.
#   Fix the row, or leave such rows out with on_error="skip".
# 26 to train on, 6 held out
# '<start_of_turn>user\nWho is Ada?<end_of_turn>\n<start_of_turn>model\n'
#   -> 'Ada is a gardener of ours.'
# Epoch 1/4
# 3/3 - 29s - 10s/step - loss: 1.0302
# Epoch 2/4
# 3/3 - 21s - 7s/step - loss: 0.2210
# Epoch 3/4
# 3/3 - 26s - 9s/step - loss: 0.0761
# Epoch 4/4
# 3/3 - 21s - 7s/step - loss: 0.0111
# grown: ['Cleo is a gardener of ours.', 'Dan is a gardener of ours.']
# base:  ['Who is Cleo? mendatanguser', "What is Dan's name?"]
# ```

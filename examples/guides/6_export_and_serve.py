"""Guide 6: from a file of chats to a GGUF file that answers."""

# %% [markdown]
# # 6. Export and serve
#
# At the end you have a GGUF file that Ollama and llama.cpp run, and a folder
# that transformers and vLLM load, both made from a file of chats. Growths are
# merged by the export, at the scale that you set. The check with transformers
# needs `pip install transformers torch` (in the Python that runs this guide);
# to check a GGUF file in the same way, also `accelerate`. The guide takes some
# two minutes on two cores and 2 GB of disk. A torch with CUDA, which pip
# installs on Linux, takes 5 GB more.

# %%
import json
import os
import pathlib
import shutil

import keras

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.evaluation import generate
from keras_grow.tasks import chat_example
from keras_grow.tasks import encode
from keras_grow.tasks import read_examples

MODEL = os.environ.get("GUIDE_MODEL", "gemma3_270m_pip")
ROWS = int(os.environ.get("GUIDE_ROWS", "24"))
FOLDER = pathlib.Path(os.environ.get("GUIDE_FOLDER", "runs/guides"))
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The chats, as in guide 2.

# %%
PLANTS = ["mint", "basil", "thyme", "sage", "dill", "chives", "rosemary", "rue"]
ASKED = ["Where is the {}?", "Where do I find {}?", "And the {}?"]


def chat(asked: str, plant: str) -> list[dict[str, str]]:
    """A question and its answer."""
    return [
        {"role": "user", "content": asked.format(plant)},
        {"role": "assistant", "content": f"The {plant} is by the gate."},
    ]


chats = FOLDER / "plants.jsonl"
chats.write_text(
    "".join(
        json.dumps({"messages": chat(asked, plant)}) + "\n"
        for asked in ASKED
        for plant in PLANTS
    ),
    "utf-8",
)
rows = read_examples(chats, template="gemma").examples[:ROWS]

# %%
lm = load_causal_lm(MODEL)
keras_grow.grow_model(lm, name="plants")
lm.compile(
    optimizer=keras.optimizers.Adam(1e-4),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    weighted_metrics=[],
)
keras_grow.supervised_logits(lm)
x, y, sample_weight = encode(rows, lm.preprocessor.tokenizer)
keras.Model.fit(
    lm, x, y, sample_weight=sample_weight, batch_size=8, epochs=4, verbose=2
)
# A plant that is in no chat.
asked = chat_example(chat(ASKED[0], "lavender"), "gemma").prompt
print("grown:", generate(lm, [asked], max_new_tokens=16))

# %% [markdown]
# The file must be new: nothing is overwritten. The chat template goes into it,
# so that what serves it writes chats as they were written in training. The same
# from the shell: `keras-grow export plants.grow.safetensors plants.gguf --to
# gguf --model gemma3_270m_pip --quantization q8_0 --chat-template gemma`.

# %%
gguf = FOLDER / "plants.gguf"
gguf.unlink(missing_ok=True)
done = keras_grow.export_gguf(lm, gguf, "q8_0", chat_template="gemma")
print(f"{done.weight_bytes:,} bytes of weights in {done.path.name}")

# %% [markdown]
# The file answers: read back here by the library's own loader, in eight bits.
# Ollama needs the chat template in its own language, in a `Modelfile`. The
# export writes one beside the GGUF file, and into its model card. In that
# folder, run `ollama create plants -f plants.gguf.Modelfile`, then `ollama run
# plants`. A comparison with llama.cpp itself is in `examples/results/export`.

# %%
print("GGUF: ", generate(load_causal_lm(gguf), [asked], max_new_tokens=16))
print((FOLDER / "plants.gguf.Modelfile").read_text("utf-8"))

# %% [markdown]
# `verify=True` loads what was written with transformers and reports the largest
# difference of a logit: about 1e-4 in float32, as here. Types of less than 32
# bits round the weights: 0.7 in bf16 and 1.9 in q8_0 are no error.
# `AutoModelForCausalLM.from_pretrained(folder)` and `vllm serve folder` take it
# from there.

# %%
folder = FOLDER / "plants"
shutil.rmtree(folder, ignore_errors=True)
done = keras_grow.export_transformers(
    lm, folder, verify=True, chat_template="gemma"
)
print(f"largest difference of a logit: {done.largest_difference:.1e}")
print(sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# Printed on Gemma 3 270M (JAX, two CPU cores, 2 minutes; lavender was in no
# chat):
#
# ```
# Epoch 1/4
# 3/3 - 17s - 6s/step - loss: 1.0305
# Epoch 2/4
# 3/3 - 8s - 3s/step - loss: 0.3193
# Epoch 3/4
# 3/3 - 8s - 3s/step - loss: 0.2028
# Epoch 4/4
# 3/3 - 8s - 3s/step - loss: 0.0684
# grown: ['The lavender is by the gate.']
# Writing 360,221,184 bytes of weights.
# 360,221,184 bytes of weights in plants.gguf
# GGUF:  ['The lavender is by the gate.']
# FROM ./plants.gguf
# TEMPLATE """{{ if .System }}<start_of_turn>user
# {{ .System }}
#
# {{ .Prompt }}<end_of_turn>
# <start_of_turn>model
# {{ .Response }}<end_of_turn>
# {{ else }}<start_of_turn>user
# {{ .Prompt }}<end_of_turn>
# <start_of_turn>model
# {{ .Response }}<end_of_turn>
# {{ end }}"""
# PARAMETER stop "<end_of_turn>"
#
# Writing 1,355,508,224 bytes of weights.
# largest difference of a logit: 1.7e-04
# ['README.md', 'chat_template.jinja', 'config.json', 'generation_config.json',
#  'model.safetensors', 'tokenizer.json', 'tokenizer.model',
#  'tokenizer_config.json']
# ```
#
# Ollama itself was not run: the `Modelfile` follows its manual.

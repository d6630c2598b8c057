"""The private names of Keras and KerasHub that the package uses exist."""

import re
from pathlib import Path

import keras
import keras_hub
import pytest
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
from tiny_models import tiny_lm

from keras_grow import keras_internals

PACKAGE = Path(keras_internals.__file__).parent
APP = PACKAGE.parent / "apps"


class Keeps(keras.layers.Layer):
    """Keep the store that it is given for its variables."""

    def save_own_variables(self, store):
        self.store = store


@pytest.fixture(scope="module")
def owners(tmp_path_factory):
    lm = tiny_lm("gemma3", num_layers=1)
    lm.backbone.enable_lora(2)
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    lm.compile(optimizer=optimizer, loss="mse", metrics=["mse"])
    block = lm.backbone.transformer_layers[0]
    keeps = Keeps()
    file = tmp_path_factory.mktemp("stores") / "model.weights.h5"
    keras.Sequential([keras.Input((2,)), keeps]).save_weights(file)
    return {
        "OF_LAYERS": block,
        "OF_KERNELS": block.ffw_linear,
        "OF_EINSUMS": block.ffw_linear,
        "OF_EMBEDDINGS": lm.backbone.token_embedding,
        "OF_COMPILED_MODELS": lm,
        "OF_COMPILED_METRICS": keras_internals.compile_metrics(lm),
        "OF_COMPILED_LOSSES": lm._compile_loss,
        "OF_OPTIMIZERS": optimizer,
        "OF_DECAY": optimizer,
        "OF_TENSORS": lm.output,
        "OF_OPERATIONS": lm.backbone.token_embedding,
        "OF_ATTENTION": block.attention,
        "OF_VARIABLES": lm.weights[0],
        "OF_STORES": keeps.store,
        "OF_CAUSAL_LMS": lm,
        "OF_LORA_BACKBONES": lm.backbone,
        "OF_DATA_ADAPTERS": PyDatasetAdapter,
    }


NAMES = [
    (table, name)
    for table, names in vars(keras_internals).items()
    if table.startswith("OF_")
    for name in names
]


@pytest.mark.parametrize(("table", "name"), NAMES)
def test_a_private_name_is_still_there(owners, table, name):
    assert hasattr(owners[table], name), (
        f"{type(owners[table])} has no `{name}` in Keras "
        f"{keras.__version__}, KerasHub {keras_hub.__version__}"
    )


@pytest.mark.no_backend
def test_private_names_are_used_in_one_file_alone():
    """`x._name` of another object; `self._name` is an object's own."""
    private = re.compile(r"(?<!\bself)(?<!\bcls)\.(_[a-z]\w*)")
    known = {name for _, name in NAMES}
    found = [
        f"{path.name}: {line.strip()}"
        for path in [*PACKAGE.rglob("*.py"), *APP.rglob("*.py")]
        if path.name != "keras_internals.py"
        for line in path.read_text("utf-8").splitlines()
        if known.intersection(private.findall(line))
        or re.search(r"\bkeras(_hub)?\.src\b", line)
    ]
    assert not found


def test_variables_without_values_are_not_made_later():
    with keras.StatelessScope(initialize_variables=False):
        keras.layers.Dense(2).build((None, 3))
        assert len(keras_internals.pending_variables()) == 2
    keras_internals.set_pending_variables([])
    assert keras_internals.pending_variables() == []

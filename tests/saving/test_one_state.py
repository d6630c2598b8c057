"""Saving and loading search for the backbone once."""

import sys

import pytest
from tiny_models import tiny_lm

import keras_grow
from keras_grow.growth import families


@pytest.fixture
def searches(monkeypatch):
    """The models in which any module searched for a backbone."""
    found = []
    backbone_of = families.backbone_of

    def counted(model):
        found.append(model)
        return backbone_of(model)

    for name, module in list(sys.modules.items()):
        if name.startswith("keras_grow") and "backbone_of" in vars(module):
            monkeypatch.setattr(module, "backbone_of", counted)
    return found


def test_saving_and_loading_find_the_backbone_once(tmp_path, searches):
    lm = keras_grow.grow_model(tiny_lm("gemma3", num_layers=1), name="french")
    path = tmp_path / "french.grow.safetensors"
    searches.clear()
    keras_grow.save_growth(lm, path)
    assert searches == [lm]
    base = tiny_lm("gemma3", num_layers=1)
    searches.clear()
    keras_grow.load_growth(base, path)
    assert searches == [base]

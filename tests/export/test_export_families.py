"""Every family computes in transformers what it computes in KerasHub.

The export is NumPy at its core: all families are tested on one backend, one of
each kind on the others.
"""

import keras
import numpy as np
import pytest
import tiny_families

from keras_grow import export_transformers
from keras_grow.export import check

FAMILIES = (
    list(tiny_families.BACKBONES)
    if keras.backend.backend() == "jax"
    else ["gemma3", "gpt2"]
)


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_compute_the_same_logits(family, tmp_path):
    model = tiny_families.grown(family)
    ids = tiny_families.tokens()
    before = check.logits(model, [ids])[0]
    exported = export_transformers(model, tmp_path / "out")
    theirs = check.load_transformers(tmp_path / "out")
    found = check.transformers_logits(theirs, ids)
    np.testing.assert_allclose(found, before, rtol=0, atol=1e-4)
    assert exported.padding_bytes == _padding(family, model)


def test_the_growth_of_these_models_changes_their_logits():
    ids = tiny_families.tokens()
    grown = check.logits(tiny_families.grown("gpt2"), [ids])[0]
    base = check.logits(tiny_families.backbone("gpt2"), [ids])[0]
    assert np.abs(grown - base).max() > 1e-2


@pytest.mark.parametrize("family", ["llama3", "qwen"])
def test_llama_3_with_tied_and_qwen_with_untied_embeddings(family, tmp_path):
    ties = family == "llama3"
    model = tiny_families.backbone(family, tie_word_embeddings=ties)
    ids = tiny_families.tokens()
    export_transformers(model, tmp_path / "out")
    theirs = check.load_transformers(tmp_path / "out")
    np.testing.assert_allclose(
        check.transformers_logits(theirs, ids),
        check.logits(model, [ids])[0],
        rtol=0,
        atol=1e-4,
    )


def _padding(family, model):
    """Bytes of zeros: all blocks but one are padded by one MLP width."""
    blocks = len(model.transformer_layers)
    width = 12 if family in ("gemma", "gemma2") else 24
    hidden = 16
    # GPT-2 has one matrix up, one down, and a bias; SmolLM 3 two biases.
    neuron = {"gpt2": 2 * hidden + 1, "smollm3": 3 * hidden + 2}.get(
        family, 3 * hidden
    )
    return (blocks - 1) * width * neuron * 4

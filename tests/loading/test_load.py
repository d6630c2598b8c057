"""A `.keras` file is loaded if it holds a causal language model."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow


def test_a_language_model_is_loaded_from_its_keras_file(tmp_path):
    lm = tiny_lm(num_layers=1)
    lm.save(tmp_path / "lm.keras")
    loaded = keras_grow.load_causal_lm(tmp_path / "lm.keras")
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(m(token_batch())) for m in (lm, loaded))
    )


def test_a_keras_file_of_another_model_is_refused(tmp_path):
    path = tmp_path / "backbone.keras"
    tiny_lm(num_layers=1).backbone.save(path)
    with pytest.raises(ValueError, match=r"causal.*holds a Gemma3Backbone"):
        keras_grow.load_causal_lm(path)

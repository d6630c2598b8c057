"""Programs are compiled rarely."""

import keras
import numpy as np
import pytest

from keras_grow.evaluation.compiled import compile_over


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="traces of TensorFlow"
)
def test_tensorflow_traces_rows_of_any_length_twice():
    traced = []

    def doubled(x):
        traced.append(x.shape)
        return 2 * x

    compiled = compile_over(doubled, keras.Sequential())
    for length in range(3, 9):
        x = keras.ops.ones((2, length))
        np.testing.assert_array_equal(compiled(x), 2 * np.ones((2, length)))
    assert len(traced) == 2

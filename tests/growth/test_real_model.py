"""Claims that need real weights, on Gemma 3 270M."""

import pytest

import keras_grow
from keras_grow import load_causal_lm

PROMPTS = ["The capital of France is", "def fibonacci(n):"]


@pytest.mark.real
# Short in bfloat16: torch multiplies it far more slowly than float32 on a
# processor that has no instructions for it.
@pytest.mark.parametrize(
    ("dtype", "repeats"), [("float32", 40), ("bfloat16", 1)]
)
def test_growing_every_block_changes_no_bit_of_the_real_model(
    dtype, repeats, request
):
    if dtype == "float32":
        lm = request.getfixturevalue("real_lm")
        request.addfinalizer(lambda: keras_grow.remove_growth(lm))
    else:
        lm = load_causal_lm("gemma3_270m_pip", dtype)
    keras_grow.grow_model(lm)
    texts = [text * repeats for text in PROMPTS]
    preserved = keras_grow.verify_preserved(lm, texts)
    assert preserved.exact
    assert preserved.max_abs_output > 1.0
    report = keras_grow.growth_report(lm)
    assert report.base_parameters == 268_098_176
    assert report.trainable_parameters == 70_778_880
    assert report.step_ratio == pytest.approx(0.923, abs=5e-4)
    if dtype == "bfloat16":
        assert report.training_bytes / 1e9 == pytest.approx(1.67, abs=5e-3)

"""What is saved loads again; the rest is refused before it is written."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()
pytestmark = pytest.mark.usefixtures("little_garbage")
NO_INT8 = pytest.mark.skipif(
    keras.config.backend() == "torch", reason="no int8 base on PyTorch"
)


def outputs(model):
    return ops.convert_to_numpy(ops.cast(model(BATCH), "float32"))


def base():
    return tiny_lm("gemma3", num_layers=1)


def stir(lm):
    rng = np.random.default_rng(1)
    for weight in lm.backbone.weights:
        if "/growth_1/" in weight.path or "lora" in weight.name:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    return lm


def stirred(lm):
    for weight in lm.trainable_weights:
        weight.assign(ops.convert_to_numpy(weight) + 0.1)
    return lm


def query(lm):
    return lm.backbone.transformer_layers[0].attention.query_dense


def grown():
    return keras_grow.grow_model(base())


def test_lora_of_one_layer_is_saved_in_every_way(tmp_path):
    lm = grown()
    query(lm).enable_lora(2)
    stir(lm)
    assert np.any(ops.convert_to_numpy(query(lm).lora_kernel_b))
    lm.save(tmp_path / "lm.keras")
    loaded = [keras.saving.load_model(tmp_path / "lm.keras")]
    keras_grow.save_growth(lm, tmp_path / "growth")
    loaded.append(keras_grow.load_growth(base(), tmp_path / "growth"))
    lm.save_weights(tmp_path / "lm.weights.h5")
    loaded.append(grown())
    query(loaded[-1]).enable_lora(2)
    loaded[-1].load_weights(tmp_path / "lm.weights.h5")
    with keras_grow.growth_disabled(lm):
        without = outputs(lm)
    for model in loaded:
        np.testing.assert_array_equal(outputs(model), outputs(lm))
        with keras_grow.growth_disabled(model):
            np.testing.assert_array_equal(outputs(model), without)


def test_lora_on_the_embedding_is_refused_before_anything_changes():
    lm = grown()
    before = [w.path for w in lm.trainable_weights]
    with pytest.raises(ValueError, match=r"names \['token_embedding'\]"):
        lm.backbone.enable_lora(2, ["query", "token_embedding"])
    assert [w.path for w in lm.trainable_weights] == before
    assert not query(lm).lora_enabled


@pytest.mark.parametrize("where", ["embedding", "slice"])
def test_lora_that_files_do_not_support_is_refused_before_writing(
    tmp_path, where
):
    lm = grown()
    block = lm.backbone.transformer_layers[0]
    layer = (
        lm.backbone.token_embedding
        if where == "embedding"
        else block.gating_ffw.slices[0]
    )
    layer.enable_lora(2)
    (tmp_path / "lm.keras").write_bytes(b"old")
    for save in (
        lambda: keras_grow.save_growth(lm, tmp_path / "growth"),
        lambda: lm.save(tmp_path / "lm.keras"),
        lambda: lm.backbone.save(tmp_path / "lm.keras"),
    ):
        with pytest.raises(ValueError, match="would not load again"):
            save()
    assert not (tmp_path / "growth").exists()
    assert (tmp_path / "lm.keras").read_bytes() == b"old"


def test_one_of_several_growths_with_lora_is_saved_with_the_others(tmp_path):
    lm = grown()
    keras_grow.grow_model(lm)
    lm.backbone.enable_lora(2)
    stir(lm)
    with pytest.raises(ValueError, match="Save with `name=None`"):
        keras_grow.save_growth(lm, tmp_path / "two", "growth_2")
    assert not (tmp_path / "two").exists()
    keras_grow.save_growth(lm, tmp_path / "all")
    loaded = keras_grow.load_growth(base(), tmp_path / "all")
    np.testing.assert_array_equal(outputs(loaded), outputs(lm))


@pytest.mark.parametrize("loaded", [False, True])
def test_lora_alone_trains_after_the_growth_is_removed(tmp_path, loaded):
    lm = grown()
    lm.backbone.enable_lora(2)
    if loaded:
        lm.save(tmp_path / "lm.keras")
        lm = keras.saving.load_model(tmp_path / "lm.keras")
    keras_grow.remove_growth(lm)
    names = [w.name for w in lm.trainable_weights]
    assert len(names) == 4
    assert all(name.startswith("lora_kernel") for name in names)


@NO_INT8
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_a_model_that_keras_quantized_loads_again(tmp_path):
    lm = stir(grown())
    lm.quantize("int8")
    lm.save(tmp_path / "lm.keras")
    keras_grow.save_growth(lm, tmp_path / "growth")
    int8 = base()
    int8.quantize("int8")
    for model in (
        keras.saving.load_model(tmp_path / "lm.keras"),
        keras_grow.load_growth(int8, tmp_path / "growth"),
    ):
        np.testing.assert_array_equal(outputs(model), outputs(lm))
    with pytest.raises(ValueError, match="quantized to int8, with its inputs"):
        keras_grow.grow_model(lm)


def test_a_growth_under_another_name_is_found_by_those_on_top_of_it(tmp_path):
    lm = keras_grow.grow_model(base(), name="low")
    keras_grow.save_growth(stirred(lm), tmp_path / "low")
    keras_grow.grow_model(lm, name="high")
    keras_grow.save_growth(stirred(lm), tmp_path / "high", "high")
    new = keras_grow.load_growth(base(), tmp_path / "low", "mine")
    keras_grow.load_growth(new, tmp_path / "high")
    np.testing.assert_array_equal(outputs(new), outputs(lm))
    assert keras_grow.growths(new)["high"].config.beneath == (("mine", 1.0),)
    keras_grow.save_growth(new, tmp_path / "again", "high")
    back = keras_grow.load_growth(base(), tmp_path / "low")
    keras_grow.load_growth(back, tmp_path / "again")
    np.testing.assert_array_equal(outputs(back), outputs(lm))
    other = keras_grow.grow_model(base(), name="low")
    with pytest.raises(ValueError, match="Expected a model with the growth"):
        keras_grow.load_growth(other, tmp_path / "high")
    named = keras_grow.load_growth(base(), tmp_path / "low", "high")
    with pytest.raises(ValueError, match="names that no growth of the model"):
        keras_grow.load_growth(named, tmp_path / "high")

"""Growth switched off is exactly the base, and switching costs nothing."""

import gc

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops
from tiny_models import GEMMA3
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow

BATCH = token_batch()
TARGETS = np.roll(BATCH["token_ids"], -1, axis=1)
PROMPTS = ["the quick", "bonjour"]


def trained(tokenizer=False, **options):
    """A grown model that has moved away from its base, and the base."""
    base = tiny_lm("gemma3", tokenizer=tokenizer, num_layers=2)
    lm = tiny_lm("gemma3", tokenizer=tokenizer, num_layers=2)
    keras_grow.grow_model(lm, **options)
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.5, weight.shape))
    return lm, base


def called(model):
    return ops.convert_to_numpy(model(BATCH))


def predicted(model):
    return compiled_outputs(model, BATCH)


@pytest.mark.exact
@pytest.mark.parametrize("strategy", ["g_freeze", "g_train"])
def test_inside_the_block_every_call_computes_what_the_base_does(strategy):
    lm, base = trained(tokenizer=True, strategy=strategy)
    grown = called(lm), predicted(lm), lm.generate(PROMPTS, max_length=12)
    with keras_grow.growth_disabled(lm) as model:
        assert model is lm
        np.testing.assert_array_equal(called(lm), called(base))
        np.testing.assert_array_equal(predicted(lm), predicted(base))
        assert lm.generate(PROMPTS, max_length=12) == base.generate(
            PROMPTS, max_length=12
        )
    np.testing.assert_array_equal(called(lm), grown[0])
    np.testing.assert_array_equal(predicted(lm), grown[1])
    assert lm.generate(PROMPTS, max_length=12) == grown[2]
    assert not np.array_equal(grown[0], called(base))


def test_lora_beside_the_growth_is_switched_off_too():
    lm, base = trained()
    lm.backbone.enable_lora(2)
    for weight in lm.trainable_weights:
        weight.assign(weight + 0.5)
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(called(lm), called(base))
    assert all(
        layer.lora_enabled
        for layer in lm.backbone._flatten_layers()
        if getattr(layer, "lora_rank", None)
    )


def test_growth_comes_back_after_an_exception_and_nests():
    lm, base = trained()
    grown = called(lm)
    with keras_grow.growth_disabled(lm):
        with keras_grow.growth_disabled(lm):
            np.testing.assert_array_equal(called(lm), called(base))
        np.testing.assert_array_equal(called(lm), called(base))
    np.testing.assert_array_equal(called(lm), grown)
    with pytest.raises(KeyError), keras_grow.growth_disabled(lm):
        raise KeyError
    np.testing.assert_array_equal(called(lm), grown)


@pytest.mark.exact
def test_a_hundred_switches_compile_once_per_state_and_leak_nothing():
    lm, _ = trained()
    predicted(lm)
    grown = lm.predict_function
    with keras_grow.growth_disabled(lm):
        predicted(lm)
        base = lm.predict_function
    assert base is not grown
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(100):
        with keras_grow.growth_disabled(lm):
            predicted(lm)
            assert lm.predict_function is base
        predicted(lm)
        assert lm.predict_function is grown
    gc.collect()
    assert len(gc.get_objects()) - before < 100


@pytest.mark.exact
@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="KerasHub compiles nothing there"
)
def test_switching_compiles_generation_once_per_state():
    lm, _ = trained(tokenizer=True)
    step, traces = lm.generate_step, []

    def counted(inputs, stop_token_ids=None):
        traces.append(inputs)
        return step(inputs, stop_token_ids)

    # A compiled function runs its Python only while it is traced.
    vars(lm)["generate_step"] = counted
    grown = lm.generate(PROMPTS, max_length=8)
    assert len(traces) == 1
    for _ in range(3):
        with keras_grow.growth_disabled(lm):
            lm.generate(PROMPTS, max_length=8)
        assert lm.generate(PROMPTS, max_length=8) == grown
        assert len(traces) == 2


def test_training_is_refused_inside_the_block_and_works_after_it():
    lm, _ = trained()
    lm.compile(optimizer="sgd", loss=lm.loss)
    before = called(lm)
    with (
        keras_grow.growth_disabled(lm),
        pytest.raises(RuntimeError, match="no weight of the model trains"),
    ):
        lm.fit(BATCH, TARGETS, verbose=0)
    np.testing.assert_array_equal(called(lm), before)
    lm.fit(BATCH, TARGETS, verbose=0)
    assert not np.array_equal(called(lm), before)


@pytest.mark.exact
def test_compiling_inside_the_block_drops_what_was_compiled_before():
    lm, base = trained()
    predicted(lm)
    with keras_grow.growth_disabled(lm):
        lm.compile(optimizer="sgd")
        np.testing.assert_array_equal(predicted(lm), predicted(base))
    np.testing.assert_allclose(predicted(lm), called(lm), atol=1e-5)


def test_a_model_that_is_not_grown_is_refused():
    lm = tiny_lm("gemma3", num_layers=2)
    with (
        pytest.raises(ValueError, match="Expected a grown model"),
        keras_grow.growth_disabled(lm),
    ):
        pass
    with pytest.raises(ValueError, match="Expected a grown model"):
        keras_grow.verify_preserved(lm, BATCH)


@pytest.mark.parametrize("part", ["task", "backbone"])
def test_strings_without_a_preprocessor_are_refused(part):
    lm, _ = trained()
    model = lm if part == "task" else lm.backbone
    with pytest.raises(ValueError, match="Pass a dict of `token_ids`"):
        keras_grow.verify_preserved(model, PROMPTS)


@pytest.mark.exact
def test_verify_preserved_returns_the_figures():
    lm, base = trained(tokenizer=True)
    report = keras_grow.verify_preserved(lm, BATCH)
    mask = BATCH["padding_mask"]
    difference = np.abs(predicted(lm) - predicted(base))[mask]
    assert not report.exact
    assert report.max_abs_diff == difference.max()
    assert report.outputs == difference.size
    assert report.max_abs_output == np.abs(predicted(base))[mask].max()
    assert "not bit for bit" in str(report)
    keras_grow.remove_growth(lm)
    keras_grow.grow_model(lm)
    # Four tokens each. The activation runs over base and slice side by side;
    # what fills no vector register at the end, torch computes by another
    # routine. A width of 24 leaves such a rest where the length is odd.
    assert keras_grow.verify_preserved(lm, ["hello", "world"]).exact


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], r"at least one text.*inputs=\[\]"),
        (
            {**BATCH, "padding_mask": np.zeros_like(BATCH["padding_mask"])},
            "False everywhere",
        ),
    ],
)
def test_verify_preserved_refuses_inputs_that_are_all_padding(inputs, message):
    lm, _ = trained(tokenizer=True)
    with pytest.raises(ValueError, match=message):
        keras_grow.verify_preserved(lm, inputs)


@pytest.mark.exact
@pytest.mark.parametrize("embedder", [False, True])
def test_verify_preserved_compares_embeddings(embedder):
    models = keras_hub.models
    options = {**GEMMA3, "image_size": None, "num_layers": 1}
    if embedder:
        backbone = models.Gemma3Backbone(**options)
        model = models.Gemma3TextEmbedder(backbone, preprocessor=None)
    else:
        model = models.Gemma3Backbone(
            **options,
            is_embedding_model=True,
            pooling_intermediate_dim=8,
            embedding_dim=12,  # As many as positions.
        )
    keras_grow.grow_model(model)
    report = keras_grow.verify_preserved(model, BATCH)
    assert report.exact
    hidden = int(BATCH["padding_mask"].sum()) * 16
    assert report.outputs == (2 * 16 if embedder else hidden + 2 * 12)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.1)
    report = keras_grow.verify_preserved(model, BATCH)
    assert not report.exact
    assert report.max_abs_diff > 1e-3


def test_texts_are_not_padded_to_the_length_of_the_preprocessor():
    lm, _ = trained(tokenizer=True)
    prepared = lm.preprocessor.generate_preprocess(PROMPTS)
    mask = ops.convert_to_numpy(prepared["padding_mask"]).astype(bool)
    lengths = []
    block = lm.backbone.transformer_layers[0]
    call = block.call

    def recording(x, *args, **kwargs):
        lengths.append(x.shape[1])
        return call(x, *args, **kwargs)

    block.call = recording
    texts = keras_grow.verify_preserved(lm, PROMPTS)
    assert set(lengths) == {mask.sum(axis=1).max()} != {mask.shape[1]}
    whole = keras_grow.verify_preserved(lm, prepared)
    assert texts.outputs == whole.outputs
    assert texts.max_abs_diff == pytest.approx(whole.max_abs_diff, rel=1e-4)

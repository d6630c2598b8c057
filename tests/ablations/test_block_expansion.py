"""Block expansion in the manner of LLaMA Pro."""

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow.ablations import expand_blocks
from keras_grow.ablations import grow_attention

FAMILIES = ("gemma", "gemma2", "gemma3")


def numpy(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))


def logits(lm, batch=None):
    return compiled_outputs(lm, batch or token_batch())


def small_lm(family, **overrides):
    return tiny_lm(family, **{"num_layers": 2, **overrides})


def fit(lm, rate):
    lm.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batch = token_batch()
    keras.Model.train_on_batch(lm, batch, np.roll(batch["token_ids"], -1, 1))


def names(lm):
    return [block.name for block in lm.backbone.transformer_layers]


def perturb(lm, size=0.3):
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        noise = rng.normal(0.0, size, weight.shape)
        weight.assign(numpy(weight) + noise)
    return lm


def inserted(lm):
    return [
        block
        for block in lm.backbone.transformer_layers
        if block.name.endswith("_inserted")
    ]


@pytest.mark.exact
@pytest.mark.parametrize("post_norms", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_function_is_preserved_bit_for_bit(family, post_norms):
    lm = small_lm(family)
    before = logits(lm)
    expanded = expand_blocks(lm, 2, post_norms=post_norms)
    assert type(expanded) is type(lm)
    np.testing.assert_array_equal(logits(expanded), before)


def test_the_last_block_of_each_group_is_copied():
    assert names(expand_blocks(tiny_lm("gemma", num_layers=4), 2)) == [
        "decoder_block_0",
        "decoder_block_1",
        "decoder_block_1_inserted",
        "decoder_block_2",
        "decoder_block_3",
        "decoder_block_3_inserted",
    ]
    assert [
        name[14:]
        for name in names(expand_blocks(tiny_lm("gemma", num_layers=4), 3))
        if "inserted" in name
    ] == ["0_inserted", "1_inserted", "3_inserted"]
    assert names(expand_blocks(tiny_lm("gemma"), after=[0])) == [
        "decoder_block_0",
        "decoder_block_0_inserted",
        "decoder_block_1",
    ]


def test_blocks_above_an_inserted_one_stay_local_or_global():
    lm = tiny_lm("gemma3", num_layers=6)
    attention = [b.attention for b in lm.backbone.transformer_layers]
    lm = expand_blocks(lm, after=[2, 5])
    stack = lm.backbone.transformer_layers
    kept = [b.attention for b in stack if not b.name.endswith("_inserted")]
    assert kept == attention
    local, whole = inserted(lm)
    assert local.attention.use_sliding_window_attention
    assert not whole.attention.use_sliding_window_attention
    assert local.attention.rope_layer.max_wavelength == 10_000
    assert whole.attention.rope_layer.max_wavelength == 1_000_000


def test_a_new_block_is_the_block_below_with_zero_output_projections():
    lm = expand_blocks(tiny_lm("gemma2"), after=[1], post_norms=True)
    below, new = lm.backbone.transformer_layers[1:3]
    for old, weight in zip(below.weights, new.weights, strict=True):
        zero = "attention_output" in weight.path or "linear" in weight.path
        expected = np.zeros(old.shape) if zero else numpy(old)
        np.testing.assert_array_equal(numpy(weight), expected)


@pytest.mark.parametrize("family", ["gemma", "gemma3"])
def test_only_new_blocks_train_and_growth_off_is_the_base(family):
    lm = small_lm(family)
    before = logits(lm)
    values = {weight.path: numpy(weight) for weight in lm.weights}
    lm = expand_blocks(lm, 1)
    new = [weight for block in inserted(lm) for weight in block.weights]
    assert {id(w) for w in lm.trainable_weights} == {id(w) for w in new}
    fit(lm, 1e-2)
    for weight in lm.weights:
        if weight.path in values:
            assert np.array_equal(numpy(weight), values[weight.path])
    assert np.abs(logits(lm) - before).max() > 1e-3
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(logits(lm), before)


def first_step(post_norms):
    """How far one small step of Adam moves the logits."""
    lm = expand_blocks(small_lm("gemma3"), 1, post_norms=post_norms)
    before = logits(lm)
    fit(lm, 1e-4)
    return np.abs(logits(lm) - before).max()


def test_with_post_norms_the_first_small_step_is_large():
    assert first_step(post_norms=True) > 20 * first_step(post_norms=False)


@pytest.mark.parametrize("family", ["gemma", "gemma3"])
def test_generate_with_the_cache_is_greedy_decoding_without(family):
    lm = perturb(expand_blocks(small_lm(family), after=[0]))
    prompt = token_batch(length=7)["token_ids"][:1]
    padding = ((0, 0), (0, 3))
    mask = np.pad(np.ones_like(prompt, dtype=bool), padding)

    def generated():
        inputs = {"token_ids": np.pad(prompt, padding), "padding_mask": mask}
        inputs = {n: ops.convert_to_tensor(x) for n, x in inputs.items()}
        outputs = lm.make_generate_function()(inputs, stop_token_ids=None)
        return numpy(outputs["token_ids"]).astype("int32")

    def greedy():
        tokens = np.pad(prompt, padding)
        for end in range(7, 10):
            batch = {"token_ids": tokens, "padding_mask": tokens > 0}
            tokens[:, end] = logits(lm, batch)[:, end - 1].argmax(-1)
        return tokens

    np.testing.assert_array_equal(generated(), greedy())
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(generated(), greedy())


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
@pytest.mark.filterwarnings("ignore:`compile.*was not called:UserWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_keras_files_and_presets_hold_the_expanded_model(family, tmp_path):
    lm = perturb(expand_blocks(small_lm(family, tokenizer=True), after=[0]))
    trained = [weight.path for weight in lm.trainable_weights]
    lm.save(tmp_path / "lm.keras")
    lm.save_to_preset(str(tmp_path / "preset"))
    from_file = keras.models.load_model(tmp_path / "lm.keras")
    preset = keras_hub.models.CausalLM.from_preset(str(tmp_path / "preset"))
    for loaded in (from_file, preset):
        np.testing.assert_array_equal(logits(loaded), logits(lm))
        assert names(loaded) == names(lm)
        assert [w.path for w in loaded.trainable_weights] == trained


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="as `quantize_base`"
)
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.filterwarnings("ignore:`compile.*was not called:UserWarning")
@pytest.mark.usefixtures("little_garbage")
def test_an_expanded_model_in_int8_is_close_and_can_be_saved(tmp_path):
    lm = tiny_lm("gemma3", num_layers=1)
    lm = perturb(expand_blocks(lm, after=[0]))
    before = logits(lm)
    lm.quantize("int8")
    after = logits(lm)
    assert 0 < np.abs(after - before).max() < 0.3 * np.abs(before).max()
    lm.save(tmp_path / "lm.keras")
    loaded = keras.models.load_model(tmp_path / "lm.keras")
    np.testing.assert_array_equal(logits(loaded), after)


def test_lora_that_would_stop_the_new_blocks_is_refused():
    lm = expand_blocks(tiny_lm("gemma"), 1)
    trained = [weight.path for weight in lm.trainable_weights]
    with pytest.raises(ValueError, match=r"without inserted blocks.*LoRA"):
        lm.backbone.enable_lora(2)
    assert [weight.path for weight in lm.trainable_weights] == trained


def test_layers_are_shared_and_new_variables_are_float32():
    lm = small_lm("gemma3", dtype="bfloat16")
    before = logits(lm)
    expanded = expand_blocks(lm, 1)
    new = {id(weight) for weight in expanded.trainable_weights}
    rest = {id(weight) for weight in expanded.weights} - new
    assert rest == {id(weight) for weight in lm.weights}
    assert {w.dtype for w in expanded.trainable_weights} == {"float32"}
    # Between more blocks XLA rounds to bfloat16 in other places.
    np.testing.assert_allclose(logits(expanded), before, atol=0.05)


def test_a_backbone_gives_a_backbone():
    backbone = expand_blocks(tiny_lm("gemma").backbone, 1)
    assert isinstance(backbone, keras_hub.models.GemmaBackbone)
    assert backbone.num_layers == 3


def with_lora():
    lm = tiny_lm("gemma3")
    lm.backbone.enable_lora(2)
    return lm


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (lambda: tiny_lm("gemma"), {}, "either `num_new_blocks` or `after`"),
        (lambda: tiny_lm("gemma"), {"num_new_blocks": 5}, "from 1 to 2"),
        (lambda: tiny_lm("gemma"), {"num_new_blocks": True}, "an int from 1"),
        (lambda: tiny_lm("gemma"), {"num_new_blocks": 2.0}, "an int from 1"),
        (lambda: tiny_lm("gemma"), {"after": []}, "at least one block index"),
        (lambda: tiny_lm("gemma"), {"after": 1}, "`after` to be a list"),
        (lambda: tiny_lm("gemma"), {"after": [4]}, r"0 to 1.*after=\[4\]"),
        (lambda: tiny_lm("gemma"), {"after": [1, 1]}, r"once.*after=\[1, 1\]"),
        (
            lambda: tiny_lm("gemma"),
            {"num_new_blocks": 1, "block_dtype": "float16"},
            '`block_dtype` to be "float32"',
        ),
        (
            lambda: keras_grow.grow_model(tiny_lm("gemma")),
            {"num_new_blocks": 1},
            "Expected a base model",
        ),
        (
            lambda: grow_attention(tiny_lm("gemma")),
            {"num_new_blocks": 1},
            "Expected a base model",
        ),
        (
            lambda: expand_blocks(tiny_lm("gemma"), 1),
            {"num_new_blocks": 1},
            "Expected a base model",
        ),
        (with_lora, {"num_new_blocks": 1}, "under LoRA"),
    ],
)
def test_misuse_is_refused(make, kwargs, message):
    with pytest.raises(ValueError, match=message):
        expand_blocks(make(), **kwargs)


def test_attention_of_an_expanded_model_does_not_grow():
    with pytest.raises(ValueError, match="without inserted blocks"):
        grow_attention(expand_blocks(tiny_lm("gemma"), 1))

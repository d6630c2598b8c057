"""Growing the attention: the paper's ablations."""

import keras
import numpy as np
import pytest
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import keras_internals
from keras_grow.ablations import grow_attention
from keras_grow.ablations.attention import attention_slices

FAMILIES = ("gemma", "gemma2", "gemma3")
GROWS = ("heads", "head_dim")
# Of the largest logit. Copies are exact; sums over them round.
TOLERANCE = 5e-5


def small_lm(family, **overrides):
    return tiny_lm(family, **{"num_layers": 2, **overrides})


def numpy(x):
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32")))


def logits(lm, batch=None):
    return compiled_outputs(lm, batch or token_batch())


def perturb(lm, size=0.3):
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        noise = rng.normal(0.0, size, weight.shape)
        weight.assign(numpy(weight) + noise)
    return lm


def assert_close(actual, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, atol=TOLERANCE * scale)


def fit(lm):
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batch = token_batch()
    keras.Model.train_on_batch(lm, batch, np.roll(batch["token_ids"], -1, 1))


def padded(prompt, length):
    padding = ((0, 0), (0, length - prompt.shape[1]))
    mask = np.pad(np.ones_like(prompt, dtype=bool), padding)
    return {"token_ids": np.pad(prompt, padding), "padding_mask": mask}


def greedy(lm, prompt, length):
    """Greedy decoding without a cache."""
    batch = padded(prompt, length)
    for end in range(prompt.shape[1], length):
        new = logits(lm, batch)[:, end - 1].argmax(-1)
        batch["token_ids"][:, end] = new
        batch["padding_mask"][:, end] = True
    return batch["token_ids"]


def cached_greedy(lm, prompt, length):
    inputs = {
        name: ops.convert_to_tensor(x)
        for name, x in padded(prompt, length).items()
    }
    outputs = lm.make_generate_function()(inputs, stop_token_ids=None)
    return numpy(outputs["token_ids"]).astype("int32")


@pytest.mark.parametrize("grows", GROWS)
@pytest.mark.parametrize(
    ("family", "factor", "blocks"),
    # Gemma 3 has five local blocks, then a global one.
    [("gemma", 2, 2), ("gemma2", 3, 2), ("gemma3", 2, 6)],
)
def test_the_function_is_preserved(family, factor, blocks, grows):
    lm = small_lm(family, num_layers=blocks)
    before = logits(lm)
    assert grow_attention(lm, grows, factor) is lm
    assert_close(logits(lm), before)


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_heads_are_those_of_a_plain_model_with_more_heads(family):
    lm = perturb(grow_attention(small_lm(family), "heads"))
    plain = small_lm(family, num_query_heads=8)
    kept = {weight.path: weight for weight in lm.backbone.weights}
    for weight in plain.backbone.weights:
        if weight.shape == kept[weight.path].shape:
            weight.assign(numpy(kept[weight.path]))
    groups = lm.backbone.num_key_value_heads

    def merged(old, new, share):
        # KerasHub keeps the query heads of a group next to one another.
        old, new = numpy(old.kernel) * share, numpy(new.kernel)
        parts = [np.split(kernel, groups) for kernel in (old, new)]
        return np.concatenate(
            [head for pair in zip(*parts, strict=True) for head in pair]
        )

    for grown, wide in zip(
        lm.backbone.transformer_layers,
        plain.backbone.transformer_layers,
        strict=True,
    ):
        grown, wide = grown.attention, wide.attention
        base = grown.base
        query = merged(base.query_dense, grown.query_slice, 1.0)
        output = merged(base.output_dense, grown.output_slice, 0.5)
        wide.query_dense.kernel.assign(query)
        wide.output_dense.kernel.assign(output)
    assert_close(logits(lm), logits(plain))


def rotated(x, wavelength):
    """Rotary embedding `[b, t, n, h]`: dimension i goes with i + h / 2."""
    half = x.shape[-1] // 2
    frequencies = wavelength ** -(np.arange(half) / half)
    angles = np.arange(x.shape[1])[:, None] * frequencies
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    first, second = x[..., :half], x[..., half:]
    return np.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    )


def normed(x, norm):
    if norm is None:
        return x
    square = np.mean(x**2, axis=-1, keepdims=True)
    return x / np.sqrt(square + 1e-6) * (1 + numpy(norm.scale))


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_head_dims_are_the_mean_of_scores_over_the_copies(family):
    """NumPy, from the formula in `GrownAttention`."""
    lm = perturb(grow_attention(small_lm(family), "head_dim", factor=3))
    layer = lm.backbone.transformer_layers[1].attention
    base = layer.base
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 16)).astype("float32")
    mask = np.tril(np.ones((2, 6, 6), dtype=bool))

    def heads(dense, new, norm=None, rotate=True):
        parts = np.split(numpy(new.kernel), 2)
        kernels = [numpy(dense.kernel), *parts]
        out = [np.einsum("btd,ndh->btnh", x, kernel) for kernel in kernels]
        out = [normed(part, norm) for part in out]
        wavelength = getattr(base, "rope_wavelength", 10_000.0)
        return [rotated(part, wavelength) for part in out] if rotate else out

    query = heads(
        base.query_dense, layer.query_slice, getattr(base, "query_norm", None)
    )
    key = heads(
        base.key_dense, layer.key_slice, getattr(base, "key_norm", None)
    )
    value = heads(base.value_dense, layer.value_slice, rotate=False)
    repeats = query[0].shape[2] // key[0].shape[2]
    scores = np.mean(
        [
            np.einsum("btnh,bsnh->bnts", q, np.repeat(k, repeats, axis=2))
            for q, k in zip(query, key, strict=True)
        ],
        axis=0,
    ) / np.sqrt(8)
    if base.logit_soft_cap:
        scores = base.logit_soft_cap * np.tanh(scores / base.logit_soft_cap)
    weights = np.exp(np.where(mask[:, None], scores, -np.inf))
    weights /= weights.sum(-1, keepdims=True)
    outputs = [
        numpy(base.output_dense.kernel) / 3,
        *np.split(numpy(layer.output_slice.kernel), 2),
    ]
    expected = sum(
        np.einsum("bnts,bsnh,nhd->btd", weights, np.repeat(v, repeats, 2), o)
        for v, o in zip(value, outputs, strict=True)
    )
    actual = layer(ops.convert_to_tensor(x), attention_mask=mask)
    assert_close(numpy(actual), expected)


@pytest.mark.parametrize(
    ("family", "grows", "layers"),
    [
        ("gemma", "heads", [0]),
        ("gemma2", "head_dim", None),
        ("gemma3", "heads", None),
        ("gemma3", "head_dim", [1]),
    ],
)
def test_generate_with_the_cache_is_greedy_decoding_without(
    family, grows, layers
):
    lm = perturb(grow_attention(small_lm(family), grows, layers=layers))
    prompt = token_batch(length=7)["token_ids"][:1]
    expected = greedy(lm, prompt, 10)
    np.testing.assert_array_equal(cached_greedy(lm, prompt, 10), expected)


def test_generate_refuses_longer_keys_in_some_blocks_of_one_array():
    lm = grow_attention(small_lm("gemma2"), "head_dim", layers=[1])
    with pytest.raises(ValueError, match="every block to be grown"):
        cached_greedy(lm, token_batch()["token_ids"][:1], 14)


@pytest.mark.parametrize(("grows", "factor"), [("heads", 3), ("head_dim", 2)])
def test_only_the_slices_train_and_growth_off_is_the_base(grows, factor):
    lm = small_lm("gemma3")
    before = logits(lm)
    values = {w.path: numpy(w) for w in lm.weights}
    grow_attention(lm, grows, factor)
    slices = attention_slices(lm)
    new = [weight for layer in slices for weight in layer.weights]
    assert {id(w) for w in lm.trainable_weights} == {id(w) for w in new}
    old = [numpy(weight) for weight in new]
    fit(lm)
    for weight, value in zip(new, old, strict=True):
        assert np.any(numpy(weight) != value), weight.path
    for weight in lm.weights:
        if weight.path in values:
            assert np.array_equal(numpy(weight), values[weight.path])
    assert np.abs(logits(lm) - before).max() > 1e-3
    assert not keras_grow.verify_preserved(lm, token_batch()).exact
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(logits(lm), before)


def test_mlp_and_attention_grown_together_both_train():
    lm = small_lm("gemma3")
    before = logits(lm)
    keras_grow.grow_model(lm)
    mlp = lm.trainable_weights
    grow_attention(lm)
    assert_close(logits(lm), before)
    new = [w for layer in attention_slices(lm) for w in layer.weights]
    trained = {id(w) for w in lm.trainable_weights}
    assert trained == {id(w) for w in [*mlp, *new]}
    fit(lm)
    with keras_grow.growth_disabled(lm):
        np.testing.assert_array_equal(logits(lm), before)


def test_new_variables_of_a_bfloat16_model_are_float32():
    lm = small_lm("gemma3", dtype="bfloat16")
    before = logits(lm)
    grow_attention(lm, "head_dim")
    assert {w.dtype for w in lm.trainable_weights} == {"float32"}
    after = logits(lm)
    np.testing.assert_allclose(after, before, atol=0.1)
    assert np.mean(after.argmax(-1) == before.argmax(-1)) > 0.8


def test_a_file_that_could_not_be_loaded_is_not_written(tmp_path):
    lm = small_lm("gemma3")
    keras_grow.grow_model(lm)
    for _ in range(2):
        grow_attention(lm)
        for part in (lm, lm.backbone):
            (tmp_path / "lm.keras").write_bytes(b"old")
            with pytest.raises(ValueError, match="save_weights"):
                part.save(tmp_path / "lm.keras")
            assert (tmp_path / "lm.keras").read_bytes() == b"old"
            with pytest.raises(ValueError, match="save_weights"):
                part.save_to_preset(tmp_path / "preset")
        lm = small_lm("gemma3")


def test_lora_that_would_stop_the_new_slices_is_refused():
    lm = grow_attention(small_lm("gemma"))
    trained = [weight.path for weight in lm.trainable_weights]
    with pytest.raises(ValueError, match=r"grown attention.*`enable_lora`"):
        lm.backbone.enable_lora(2)
    assert [weight.path for weight in lm.trainable_weights] == trained


def test_weights_load_into_a_base_that_is_grown_alike(tmp_path):
    lm = perturb(grow_attention(small_lm("gemma3"), "head_dim"))
    lm.save_weights(tmp_path / "grown.weights.h5")
    other = grow_attention(small_lm("gemma3", seed=1), "head_dim")
    other.load_weights(tmp_path / "grown.weights.h5")
    np.testing.assert_array_equal(logits(other), logits(lm))


def quantized():
    lm = small_lm("gemma3")
    lm.backbone.transformer_layers[0].attention.query_dense.quantize("int8")
    return lm


def with_lora():
    lm = small_lm("gemma3")
    lm.backbone.enable_lora(2)
    return lm


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (lambda: small_lm("gemma"), {"grows": "keys"}, "`grows` to be one of"),
        (lambda: small_lm("gemma"), {"factor": 1}, "`factor` to be an int"),
        (lambda: small_lm("gemma"), {"factor": 2.0}, "`factor` to be an int"),
        (lambda: small_lm("gemma"), {"layers": [2]}, "block indices from 0"),
        (
            lambda: small_lm("gemma"),
            {"slice_dtype": "bfloat16"},
            '`slice_dtype` to be "float32"',
        ),
        (
            lambda: grow_attention(small_lm("gemma")),
            {"grows": "head_dim"},
            "not grown yet.*block 0, already grown in 'heads'",
        ),
        (with_lora, {}, "without LoRA.*rank 2"),
        (quantized, {}, "float weights to copy.*int8"),
    ],
)
def test_misuse_is_refused_and_changes_nothing(make, kwargs, message):
    lm = make()
    before = [w.path for w in lm.weights], len(lm.trainable_weights)
    with pytest.raises(ValueError, match=message):
        grow_attention(lm, **kwargs)
    after = [w.path for w in lm.weights], len(lm.trainable_weights)
    assert after == before


def test_another_kind_of_attention_is_refused():
    lm = small_lm("gemma")
    block = lm.backbone.transformer_layers[1]
    keras_internals.replace_sublayer(
        block, "attention", keras.layers.Identity()
    )
    with pytest.raises(ValueError, match="Gemma 2 or Gemma 3"):
        grow_attention(lm)

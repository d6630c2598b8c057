"""`supervised_logits` computes the logits of a task whatever its family."""

import keras
import keras_hub
import numpy as np
import pytest
from family_models import tiny_family
from keras import ops
from tiny_models import GEMMA3
from tiny_models import randomize
from tiny_models import tiny_lm
from tiny_models import token_batch

import keras_grow
from keras_grow import supervised_logits

V = 40
LLAMA = dict(
    vocabulary_size=V,
    num_layers=1,
    num_query_heads=2,
    num_key_value_heads=1,
    hidden_dim=8,
    intermediate_dim=12,
)
GPT = dict(
    vocabulary_size=V,
    num_layers=1,
    num_heads=2,
    hidden_dim=8,
    intermediate_dim=12,
)
FAMILIES = {
    "Llama": LLAMA,
    "Mistral": dict(LLAMA, sliding_window=8),
    "Qwen": dict(LLAMA, tie_word_embeddings=True),
    "Qwen3": dict(LLAMA, head_dim=4, tie_word_embeddings=False),
    "Phi3": LLAMA,
    "SmolLM3": dict(
        vocabulary_size=V,
        hidden_dim=8,
        intermediate_dim=12,
        num_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        attention_bias=False,
        attention_dropout=0.0,
        rope_layer_enabled_list=[True],
        layer_types=["full_attention"],
        mlp_bias=False,
        layer_norm_epsilon=1e-6,
        max_position_embeddings=32,
        rope_theta=1e4,
        partial_rotary_factor=1.0,
    ),
    "GPT2": dict(GPT, max_sequence_length=16),
    "OPT": dict(GPT, max_sequence_length=16),
    "GPTNeoX": dict(GPT, hidden_dim=16),
    "Bloom": GPT,
    "Falcon": dict(
        vocabulary_size=V,
        num_layers=1,
        num_attention_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
    ),
}


def family(name):
    if name.islower():
        return tiny_lm(name, num_layers=1, vocabulary_size=V)
    backbone = getattr(keras_hub.models, f"{name}Backbone")(**FAMILIES[name])
    task = getattr(keras_hub.models, f"{name}CausalLM")
    lm = randomize(task(backbone=backbone, preprocessor=None))
    # Dropout would draw other masks for the two.
    for layer in lm._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return lm


def soft_capped():
    """As Gemma 4 caps its logits: outside the head."""
    plain = tiny_lm(num_layers=1, vocabulary_size=V)
    inputs = plain.backbone.input
    logits = plain.backbone.token_embedding(
        plain.backbone(inputs), reverse=True
    )
    return around(plain, inputs, ops.tanh(logits / 2.0) * 2.0)


def own_dense():
    plain = tiny_lm(num_layers=1)
    inputs = plain.backbone.input
    hidden = keras.layers.LayerNormalization()(plain.backbone(inputs))
    return around(plain, inputs, keras.layers.Dense(V)(hidden))


def around(plain, inputs, logits):
    lm = keras_hub.models.CausalLM(inputs=inputs, outputs=logits)
    lm.backbone, lm.preprocessor = plain.backbone, None
    return lm


MAKERS = {
    **{
        name: lambda name=name: family(name)
        for name in ("gemma", "gemma2", "gemma3", *FAMILIES)
    },
    "soft_capped": soft_capped,
    "own_dense": own_dense,
}


def data():
    rng = np.random.default_rng(0)
    x = {
        "token_ids": rng.integers(4, V, (2, 8)).astype("int32"),
        "padding_mask": np.ones((2, 8), "bool"),
    }
    weights = rng.uniform(0.5, 1.5, (2, 8)) * (rng.random((2, 8)) < 0.5)
    y = rng.integers(0, V, (2, 8)).astype("int32")
    return {"x": x, "y": y, "sample_weight": weights.astype("float32")}


# Which operations make the logits is the same on every backend; torch compiles
# nothing. How they are differentiated differs.
NAMES = {"torch": list(MAKERS)}.get(
    keras.config.backend(), ["Llama", "soft_capped", "own_dense"]
)


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_weights_are_those_of_the_plain_step(name):
    lm = MAKERS[name]()
    start = lm.get_weights()
    results = []
    for ours in (False, True):
        lm.set_weights(start)
        lm.compile(
            optimizer=keras.optimizers.SGD(0.1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=[],
        )
        if ours:
            supervised_logits(lm, chunk_size=1)
        loss = lm.train_on_batch(**data())
        results.append((loss, [np.array(w) for w in lm.weights]))
    plain, ours = results
    np.testing.assert_allclose(ours[0], plain[0], rtol=1e-5)
    for a, b in zip(ours[1], plain[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_head_that_mixes_positions_is_refused():
    plain = tiny_lm(num_layers=1)
    inputs = plain.backbone.input
    mixed = keras.layers.Conv1D(V, 3, padding="same")(plain.backbone(inputs))
    with pytest.raises(ValueError, match="at each position by itself"):
        supervised_logits(around(plain, inputs, mixed))


def test_logits_that_do_not_come_from_the_backbone_alone_are_refused():
    plain = tiny_lm(num_layers=1)
    inputs = plain.backbone.input
    mask = ops.cast(inputs["padding_mask"], "float32")[..., None]
    logits = keras.layers.Dense(V)(plain.backbone(inputs)) * mask
    with pytest.raises(TypeError, match="backbone's hidden states"):
        supervised_logits(around(plain, inputs, logits))


def with_vision():
    models = keras_hub.models
    encoder = models.Gemma3VisionEncoder(
        image_size=16,
        patch_size=4,
        num_heads=2,
        hidden_dim=8,
        num_layers=1,
        intermediate_dim=16,
        output_dim=16,
        pool_size=2,
    )
    backbone = models.Gemma3Backbone(
        **{**GEMMA3, "num_layers": 2}, vision_encoder=encoder
    )
    return models.Gemma3CausalLM(backbone=backbone, preprocessor=None)


@pytest.mark.no_backend
def test_gemma_3_with_vision_is_refused(tmp_path):
    lm = keras_grow.grow_model(with_vision(), layers=1)
    rows = token_batch()
    for refused in (
        lambda: supervised_logits(lm),
        lambda: keras_grow.add_anchor(lm, keras_grow.KLAnchor(rows, top_k=4)),
        lambda: keras_grow.LowerStates(lm, rows, tmp_path),
    ):
        with pytest.raises(ValueError, match="Gemma 3 with a vision encoder"):
            refused()


@pytest.mark.no_backend
def test_an_anchor_is_of_text_alone():
    lm = tiny_family("PaliGemma", num_layers=1)
    anchor = keras_grow.KLAnchor([[4, 5]], top_k=4)
    with pytest.raises(ValueError, match="Expected a model of text alone"):
        keras_grow.add_anchor(lm, anchor)

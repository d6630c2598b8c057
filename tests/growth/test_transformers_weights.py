"""Families that KerasHub cannot convert compute what transformers does.

A random model of transformers gives its weights, name by name.
"""

import pytest
from beside_transformers import compare
from beside_transformers import drawn
from beside_transformers import logits_of
from beside_transformers import random_batch
from family_models import CONFIGS
from family_models import few_programs
from family_models import tiny_backbone
from keras_hub import models

transformers = pytest.importorskip("transformers")

_OPT = {
    "embeddings/token_embedding": "model.decoder.embed_tokens",
    "embeddings/position_embedding": "model.decoder.embed_positions",
    "layer_norm": "model.decoder.final_layer_norm",
    "transformer_layer_": "model.decoder.layers.",
    "self_attention/query": "self_attn.q_proj",
    "self_attention/key": "self_attn.k_proj",
    "self_attention/value": "self_attn.v_proj",
    "self_attention/attention_output": "self_attn.out_proj",
    "self_attention_layer_norm": "self_attn_layer_norm",
    "feedforward_intermediate_dense": "fc1",
    "feedforward_output_dense": "fc2",
    "feedforward_layer_norm": "final_layer_norm",
}
_NEOX = {
    "token_embedding": "gpt_neox.embed_in",
    "layer_norm": "gpt_neox.final_layer_norm",
    "transformer_layer_": "gpt_neox.layers.",
    "self_attention/query_key_value": "attention.query_key_value",
    "self_attention/attention_output": "attention.dense",
    "self_attention_layer_norm": "input_layernorm",
    "feedforward_intermediate_dense": "mlp.dense_h_to_4h",
    "feedforward_output_dense": "mlp.dense_4h_to_h",
    "feedforward_layer_norm": "post_attention_layernorm",
}
_FUSED = {
    "token_embedding": "transformer.word_embeddings",
    "embedding_layernorm": "transformer.word_embeddings_layernorm",
    "final_layernorm": "transformer.ln_f",
    "transformer_layer_": "transformer.h.",
    "pre_attention_layernorm": "input_layernorm",
    "input_layernorm": "input_layernorm",
    "post_attention_layernorm": "post_attention_layernorm",
}
_QKV = {
    f"{name}_dense": f"self_attention.query_key_value@{index}"
    for index, name in enumerate(("query", "key", "value"))
}
_BLOOM = {
    **_FUSED,
    **{f"self_attention/{k}": v for k, v in _QKV.items()},
    "self_attention/output_dense": "self_attention.dense",
    "mlp_intermediate_dense": "mlp.dense_h_to_4h",
    "mlp_output_dense": "mlp.dense_4h_to_h",
}
_FALCON = {
    **_FUSED,
    **{f"attention/{k}": v for k, v in _QKV.items()},
    "attention/output_dense": "self_attention.dense",
    "dense_h_to_4h": "mlp.dense_h_to_4h",
    "dense_4h_to_h": "mlp.dense_4h_to_h",
}
_VARIABLES = {
    "kernel": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
}
# Names, the config of transformers beside `_SIZES`, and what KerasHub's model
# has otherwise than in `CONFIGS`.
FAMILIES = {
    "OPT": (
        _OPT,
        dict(ffn_dim=24, max_position_embeddings=16, word_embed_proj_dim=16),
        {},
    ),
    "GPT-NeoX": (
        _NEOX,
        dict(
            hidden_size=32,
            intermediate_size=24,
            max_position_embeddings=16,
            hidden_act="gelu_fast",  # As published, of 20 billion.
        ),
        {},
    ),
    "BLOOM": (_BLOOM, {}, dict(intermediate_dim=64)),
    "Falcon": (
        _FALCON,
        dict(
            ffn_hidden_size=24,
            alibi=True,
            bias=True,
            parallel_attn=False,
            multi_query=False,
        ),
        {},
    ),
}
_SIZES = dict(
    vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2
)


def source_of(name):
    """A model of transformers in which a difference shows."""
    stem = CONFIGS[name][0]
    config = getattr(transformers, f"{stem}Config")(
        **{**_SIZES, **FAMILIES[name][1]}, tie_word_embeddings=True
    )
    return drawn(transformers.AutoModelForCausalLM.from_config(config))


def fill(backbone, source, names):
    """Give a backbone of KerasHub the weights of a model of transformers."""
    arrays = {name: w.numpy() for name, w in source.state_dict().items()}
    for weight in backbone.weights:
        *path, variable = weight.path.split("/")
        path = "/".join(path)
        found = ""
        if path.startswith("transformer_layer_"):
            block, _, path = path.partition("/")
            index = block.removeprefix("transformer_layer_")
            found = f"{names['transformer_layer_']}{index}."
        layer, _, part = names[path].partition("@")
        array = arrays[f"{found}{layer}.{_VARIABLES[variable]}"]
        if part:
            # Of each head, its query, key and value.
            array = array.reshape(2, 3, -1, *array.shape[1:])[:, int(part)]
            array = array.reshape(-1, *array.shape[2:])
        if path.endswith("position_embedding"):
            array = array[2:]  # Two positions that no text has.
        if variable == "kernel":
            array = array.T
        weight.assign(array.reshape(weight.shape))


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_of_transformers_compute_the_same_logits(name):
    names, _, overrides = FAMILIES[name]
    source = source_of(name)
    with few_programs():
        backbone = tiny_backbone(name, **overrides)
    fill(backbone, source, names)
    task = getattr(models, f"{CONFIGS[name][0]}CausalLM")
    lm = task(backbone=backbone, preprocessor=None)
    tokens, batch = random_batch()
    compare(lm, batch, logits_of(source, tokens))

"""A tiny random backbone of every family that exports."""

import keras
import keras_hub
import numpy as np

import keras_grow

_models = keras_hub.models
_SIZES = dict(
    vocabulary_size=96, num_layers=2, hidden_dim=16, intermediate_dim=24
)
_HEADS = dict(num_query_heads=4, num_key_value_heads=2)
_POST = dict(use_post_ffw_norm=True, use_post_attention_norm=True)
LENGTH = 20

BACKBONES = {
    "gemma3": (
        _models.Gemma3Backbone,
        {
            **_HEADS,
            **_POST,
            # The sixth block is the first that attends to everything.
            "num_layers": 6,
            "head_dim": 8,
            "image_size": None,
            "use_sliding_window_attention": True,
            "sliding_window_size": 6,
            "global_rope_scaling_factor": 8.0,
            "final_logit_soft_cap": 5.0,
        },
    ),
    # Two KV heads: KerasHub's own exporter writes the first of them.
    "gemma": (_models.GemmaBackbone, {**_HEADS, "head_dim": 8}),
    "gemma2": (
        _models.GemmaBackbone,
        {
            **_HEADS,
            **_POST,
            "head_dim": 8,
            "attention_logit_soft_cap": 1.0,
            "final_logit_soft_cap": 5.0,
            "use_sliding_window_attention": True,
            "sliding_window_size": 6,
        },
    ),
    "llama": (_models.LlamaBackbone, _HEADS),
    "llama3": (
        _models.Llama3Backbone,
        {
            **_HEADS,
            "rope_max_wavelength": 500000,
            "rope_frequency_adjustment_factor": 8.0,
            "rope_low_freq_factor": 1.0,
            "rope_high_freq_factor": 4.0,
            "rope_pretraining_sequence_length": 16,
        },
    ),
    "mistral": (
        _models.MistralBackbone,
        {**_HEADS, "sliding_window": 6, "head_dim": 8},
    ),
    "qwen": (_models.QwenBackbone, {**_HEADS, "rope_scaling_factor": 2.0}),
    "qwen3": (
        _models.Qwen3Backbone,
        {**_HEADS, "head_dim": 8, "tie_word_embeddings": False},
    ),
    "phi3": (
        _models.Phi3Backbone,
        {
            **_HEADS,
            "max_sequence_length": 64,
            "pretraining_sequence_length": 32,
            "rope_scaling_type": "su",
            "rope_scaling_short_factor": [1.2, 1.3],
            "rope_scaling_long_factor": [2.0, 3.0],
        },
    ),
    "smollm3": (
        _models.SmolLM3Backbone,
        dict(
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_bias=False,
            attention_dropout=0.0,
            rope_layer_enabled_list=[True, False],
            layer_types=["full_attention"] * 2,
            mlp_bias=True,
            layer_norm_epsilon=1e-6,
            max_position_embeddings=64,
            rope_theta=1e4,
            partial_rotary_factor=1.0,
        ),
    ),
    "gpt2": (
        _models.GPT2Backbone,
        dict(num_heads=4, max_sequence_length=32, dropout=0.0),
    ),
}


def backbone(family: str, seed: int = 0, **overrides) -> keras.Model:
    """A plain backbone with a known value in every weight."""
    cls, arguments = BACKBONES[family]
    made = cls(**{**_SIZES, **arguments, **overrides}, dtype="float32")
    return known(made, seed)


def grown(family: str, **overrides) -> keras.Model:
    """The same, its last block grown by slices that are not copies."""
    made = backbone(family, **overrides)
    keras_grow.grow_model(made, layers=1)
    for index, weight in enumerate(made.trainable_weights):
        rng = np.random.default_rng(100 + index)
        weight.assign(rng.normal(0.0, 0.3, weight.shape))
    return made


def known(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give weights values that are large enough for every part to count."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "inv_freq" not in weight.path:
            weight.assign(rng.normal(0.0, 0.25, weight.shape))
    return model


def tokens(seed: int = 0) -> np.ndarray:
    """Ids of a text longer than every window, `[LENGTH]`."""
    return np.random.default_rng(seed).integers(0, 96, LENGTH)

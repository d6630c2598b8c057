"""A KerasHub backbone as a Hugging Face `config.json`.

One function per family. Each refuses what the other side would compute
differently. Keys are those of published checkpoints, which old and new versions
of `transformers` read.
"""

from typing import Any

import keras_hub


def gemma(backbone: Any) -> dict[str, Any]:
    """Gemma 1, or Gemma 2, which KerasHub keeps in one class."""
    config = {
        **_sizes(backbone, _width(backbone.transformer_layers[0].ffw_linear)),
        "head_dim": backbone.head_dim,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
    }
    if not is_gemma2(backbone):
        _require(
            backbone,
            use_post_attention_norm=False,
            attention_logit_soft_cap=None,
            final_logit_soft_cap=None,
            use_sliding_window_attention=False,
        )
        return config
    _require(
        backbone,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
    )
    return {
        **config,
        "query_pre_attn_scalar": _query_scalar(backbone),
        "attn_logit_softcapping": backbone.attention_logit_soft_cap,
        "final_logit_softcapping": backbone.final_logit_soft_cap,
        "sliding_window": backbone.sliding_window_size,
    }


def is_gemma2(backbone: Any) -> bool:
    """Whether a `GemmaBackbone` is a Gemma 2, by its norm after the MLP."""
    return bool(backbone.use_post_ffw_norm)


def gemma3(backbone: Any) -> dict[str, Any]:
    """Gemma 3, the text model."""
    _require(
        backbone,
        vision_encoder=None,
        is_embedding_model=False,
        use_bidirectional_attention=False,
        use_query_key_norm=True,
        use_post_attention_norm=True,
        use_post_ffw_norm=True,
        # `transformers` has the key but does not apply it.
        attention_logit_soft_cap=None,
        local_rope_scaling_factor=1.0,
    )
    slides = backbone.use_sliding_window_attention
    factor = backbone.global_rope_scaling_factor
    return {
        **_sizes(backbone, backbone.intermediate_dim),
        "head_dim": backbone.head_dim,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": _linear(factor),
        "attention_bias": False,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": _query_scalar(backbone),
        "attn_logit_softcapping": None,
        "final_logit_softcapping": backbone.final_logit_soft_cap,
        "sliding_window": backbone.sliding_window_size,
        "sliding_window_pattern": 6,
        "layer_types": [
            "sliding_attention" if slides and i % 6 < 5 else "full_attention"
            for i in range(backbone.num_layers)
        ],
        "tie_word_embeddings": True,
    }


def llama(backbone: Any) -> dict[str, Any]:
    """Llama 2 and Llama 3."""
    scaling = _linear(backbone.rope_position_scaling_factor)
    if backbone.rope_frequency_adjustment_factor is not None:
        _require(backbone, rope_position_scaling_factor=1.0)
        scaling = {
            "rope_type": "llama3",
            "factor": float(backbone.rope_frequency_adjustment_factor),
            "low_freq_factor": float(backbone.rope_low_freq_factor),
            "high_freq_factor": float(backbone.rope_high_freq_factor),
            "original_max_position_embeddings": (
                backbone.rope_pretraining_sequence_length
            ),
        }
    return {
        **_gated(backbone),
        "head_dim": backbone.hidden_dim // backbone.num_query_heads,
        "rope_scaling": scaling,
        "attention_bias": False,
        "mlp_bias": False,
    }


def mistral(backbone: Any) -> dict[str, Any]:
    """Mistral."""
    size = backbone.hidden_dim // backbone.num_query_heads
    return {
        **_gated(backbone),
        "head_dim": backbone.head_dim or size,
        "rope_scaling": _linear(backbone.rope_scaling_factor),
        "sliding_window": backbone.sliding_window,
    }


def qwen(backbone: Any) -> dict[str, Any]:
    """Qwen 2 and 2.5, dense.

    KerasHub's fused attention leaves out the window of Qwen 2 and 3, so that
    beyond it the exported model, which has the window, differs.
    """
    return {
        **_gated(backbone),
        "rope_scaling": _linear(backbone.rope_scaling_factor),
        "use_sliding_window": bool(backbone.use_sliding_window_attention),
        "sliding_window": backbone.sliding_window_size,
        # KerasHub's window is in every block, or in none.
        "max_window_layers": 0
        if backbone.use_sliding_window_attention
        else backbone.num_layers,
    }


def qwen3(backbone: Any) -> dict[str, Any]:
    """Qwen 3, dense."""
    slides = bool(backbone.sliding_window_size)
    return {
        **_gated(backbone),
        "head_dim": backbone.head_dim,
        "attention_bias": False,
        "rope_scaling": _linear(backbone.rope_scaling_factor),
        "use_sliding_window": slides,
        "sliding_window": backbone.sliding_window_size if slides else None,
        "max_window_layers": 0 if slides else backbone.num_layers,
    }


def phi3(backbone: Any) -> dict[str, Any]:
    """Phi 3."""
    scaling = None
    if backbone.rope_scaling_type == "su":
        scaling = {
            "type": "longrope",
            "rope_type": "longrope",
            "short_factor": list(backbone.rope_scaling_short_factor),
            "long_factor": list(backbone.rope_scaling_long_factor),
        }
    return {
        **_gated(backbone),
        "rope_scaling": scaling,
        "original_max_position_embeddings": (
            backbone.pretraining_sequence_length
        ),
        "sliding_window": None,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
    }


def smollm3(backbone: Any) -> dict[str, Any]:
    """SmolLM 3."""
    # `transformers` would add a bias to the output projection, too.
    _require(backbone, attention_bias=False, partial_rotary_factor=1.0)
    return {
        **_sizes(backbone, backbone.intermediate_dim),
        "rope_theta": float(backbone.rope_theta),
        "no_rope_layers": [
            int(on)
            for on in backbone.rope_layer_enabled_list[: backbone.num_layers]
        ],
        "attention_bias": False,
        "mlp_bias": backbone.mlp_bias,
        "hidden_act": "silu",
        "use_sliding_window": False,
        "sliding_window": None,
        # KerasHub's blocks attend to everything, despite the layer types.
        "layer_types": ["full_attention"] * backbone.num_layers,
        "tie_word_embeddings": True,
    }


def gpt2(backbone: Any) -> dict[str, Any]:
    """GPT-2."""
    return {
        "vocab_size": backbone.vocabulary_size,
        "n_positions": backbone.max_sequence_length,
        "n_ctx": backbone.max_sequence_length,
        "n_embd": backbone.hidden_dim,
        "n_layer": backbone.num_layers,
        "n_head": backbone.num_heads,
        "n_inner": backbone.intermediate_dim,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": backbone.dropout,
        "embd_pdrop": backbone.dropout,
        "attn_pdrop": backbone.dropout,
        "tie_word_embeddings": True,
        "use_cache": True,
    }


def max_positions(backbone: Any) -> int:
    """The longest text that the family's published models are made for.

    If KerasHub stores the number, it is the model's own. Otherwise it is that
    of the published models; no weight depends on it.
    """
    models = keras_hub.models
    for name in ("max_position_embeddings", "max_sequence_length"):
        if hasattr(backbone, name):
            return int(getattr(backbone, name))
    if isinstance(backbone, models.Gemma3Backbone):
        # The 270M and 1B models; larger ones are made for 128K.
        return 32768 if backbone.hidden_dim <= 1152 else 131072
    if isinstance(backbone, models.LlamaBackbone):
        if backbone.rope_frequency_adjustment_factor is not None:
            return 131072
        llama3 = isinstance(backbone, models.Llama3Backbone)
        return 8192 if llama3 else 4096
    if isinstance(backbone, models.Qwen3Backbone):
        return 40960
    if isinstance(backbone, models.GemmaBackbone):
        return 8192
    return 32768


def _gated(backbone: Any) -> dict[str, Any]:
    """What Llama and the families that follow its pattern share."""
    return {
        **_sizes(backbone, backbone.intermediate_dim),
        "rope_theta": float(backbone.rope_max_wavelength),
        "hidden_act": "silu",
        "tie_word_embeddings": bool(backbone.token_embedding.tie_weights),
    }


def _sizes(backbone: Any, width: int) -> dict[str, Any]:
    heads = getattr(backbone, "num_query_heads", None)
    dropout = getattr(backbone, "dropout", 0.0)
    return {
        "vocab_size": backbone.vocabulary_size,
        "hidden_size": backbone.hidden_dim,
        "intermediate_size": width,
        "num_hidden_layers": backbone.num_layers,
        "num_attention_heads": heads or backbone.num_attention_heads,
        "num_key_value_heads": backbone.num_key_value_heads,
        "rms_norm_eps": backbone.layer_norm_epsilon,
        "attention_dropout": float(dropout),
        "initializer_range": 0.02,
        "use_cache": True,
    }


def _width(down: Any) -> int:
    # Gemma 1 and 2 build half of the `intermediate_dim` that they get.
    return int(down.kernel.shape[0])


def _query_scalar(backbone: Any) -> int:
    # KerasHub's Gemma 2 blocks do not pass on the backbone's flag: what counts
    # is what the attention computes.
    if backbone.transformer_layers[0].attention.query_head_dim_normalize:
        return int(backbone.head_dim)
    return int(backbone.hidden_dim // backbone.num_query_heads)


def _linear(factor: float) -> dict[str, Any] | None:
    if factor == 1:
        return None
    return {"rope_type": "linear", "factor": float(factor)}


def _require(backbone: Any, **wanted: Any) -> None:
    for name, value in wanted.items():
        received = getattr(backbone, name)
        if received is value or received == value:
            continue
        raise ValueError(
            f"Expected a {type(backbone).__name__} that `transformers` can "
            f"compute: one of {name}={value}. Received: {name}={received}. "
            "`transformers` has no such model; keep this one as a KerasHub "
            "preset (`save_to_preset`)."
        )

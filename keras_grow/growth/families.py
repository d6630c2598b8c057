"""A row of data for each family of KerasHub, and finding it."""

import functools
import inspect
from typing import Any

import keras
import keras_hub

from keras_grow.growth.family import Family as Family
from keras_grow.growth.family import holder_of as holder_of


def _inside(layer: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{layer}.{name}" for name in names)


_QKVO = ("query_dense", "key_dense", "value_dense", "output_dense")
_PRIVATE_QKVO = ("_query_dense", "_key_dense", "_value_dense", "_output_dense")
_PROJ = ("q_proj", "k_proj", "v_proj", "o_proj")
_GATED = ("_feedforward_gate_dense", "_feedforward_intermediate_dense")
_PLAIN = ("_feedforward_intermediate_dense",)
_OUTPUT = "_feedforward_output_dense"
_GEMMA = _inside("attention", *_QKVO)
_SELF = _inside("_self_attention_layer", *_PRIVATE_QKVO)
_models = keras_hub.models

BUILT_IN = (
    Family(_models.GemmaBackbone, attention=_GEMMA),
    Family(_models.Gemma3Backbone, attention=_GEMMA),
    Family(_models.PaliGemmaBackbone, attention=_GEMMA),
    Family(_models.Gemma4Backbone, attention=_GEMMA),
    Family(
        _models.Gemma3nBackbone,
        blocks="language_model.transformer_layers",
        up=("mlp.gate_proj", "mlp.up_proj"),
        down="mlp.down_proj",
        width="intermediate_size",
        attention=_inside("attention", *_PROJ),
        heads="num_attention_heads",
        embedding="language_model.embed_tokens.embedding",
        sparsity="mlp.activation_sparsity",
    ),
    Family(_models.LlamaBackbone, up=_GATED, down=_OUTPUT, attention=_SELF),
    Family(_models.Llama3Backbone, up=_GATED, down=_OUTPUT, attention=_SELF),
    Family(_models.MistralBackbone, up=_GATED, down=_OUTPUT, attention=_SELF),
    Family(_models.QwenBackbone, up=_GATED, down=_OUTPUT, attention=_SELF),
    Family(_models.Qwen3Backbone, up=_GATED, down=_OUTPUT, attention=_SELF),
    # Most blocks of Qwen 3.5 mix tokens without attention.
    Family(_models.Qwen3_5Backbone, up=_GATED, down=_OUTPUT),
    Family(
        _models.QwenMoeBackbone,
        up=_inside("mlp.shared_expert_dense", *_GATED),
        down=f"mlp.shared_expert_dense.{_OUTPUT}",
        width="shared_expert_intermediate_dim",
        attention=(
            *_inside("_self_attention_layer", *_QKVO[:3]),
            "_self_attention_layer._output_dense",
        ),
    ),
    Family(
        _models.Qwen3_5MoeBackbone,
        up=_inside("mlp.shared_expert", *_GATED),
        down=f"mlp.shared_expert.{_OUTPUT}",
        width="shared_expert_intermediate_size",
    ),
    Family(
        _models.Phi3Backbone,
        up=("feedforward_gate_dense", "feedforward_intermediate_dense"),
        down="feedforward_output_dense",
        attention=_GEMMA,
    ),
    Family(
        _models.SmolLM3Backbone,
        up=("mlp.gate_proj", "mlp.up_proj"),
        down="mlp.down_proj",
        attention=_inside("self_attn", *_PROJ),
        heads="num_attention_heads",
    ),
    Family(
        _models.GPT2Backbone,
        up=_PLAIN,
        down=_OUTPUT,
        attention=_SELF,
        heads="num_heads",
    ),
    Family(
        _models.OPTBackbone,
        up=_PLAIN,
        down=_OUTPUT,
        attention=_SELF,
        heads="num_heads",
    ),
    Family(
        _models.GPTNeoXBackbone,
        up=_PLAIN,
        down=_OUTPUT,
        attention=_inside(
            "_self_attention_layer", "_qkv_dense", "_output_dense"
        ),
        heads="num_heads",
    ),
    Family(
        _models.BloomBackbone,
        up=("_mlp_intermediate_dense",),
        down="_mlp_output_dense",
        attention=_SELF,
        heads="num_heads",
    ),
    Family(
        _models.FalconBackbone,
        up=("dense_h_to_4h",),
        down="dense_4h_to_h",
        attention=_inside("attention_layer", *_QKVO),
        heads="num_attention_heads",
    ),
)

FAMILIES: dict[type, Family] = {row.backbone_cls: row for row in BUILT_IN}

# All their MLPs are banks of experts in one tensor, chosen per token.
EXPERTS_ONLY = (
    _models.MixtralBackbone,
    _models.Qwen3MoeBackbone,
    _models.GptOssBackbone,
)


def backbone_of(model: Any) -> keras.Model:
    """The KerasHub backbone of a task, or the backbone itself."""
    if isinstance(model, keras_hub.models.Backbone):
        return model
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, keras_hub.models.Backbone):
        return backbone
    raise TypeError(
        "Expected a KerasHub model: a task such as "
        "`keras_hub.models.Gemma3CausalLM`, or its backbone. "
        f"Received: {model!r} (of type {type(model)})"
    )


def family_of(backbone: keras.Model) -> Family:
    """The row that describes `backbone`."""
    for cls in type(backbone).__mro__:
        if cls in FAMILIES:
            row = FAMILIES[cls]
            row.check(backbone)
            return row
    if isinstance(backbone, EXPERTS_ONLY):
        raise ValueError(
            "Expected a backbone with MLPs that every token passes through. "
            f"Received: {type(backbone).__name__}, whose MLPs are all experts: "
            "there is no dense MLP to grow."
        )
    known = ", ".join(sorted(cls.__name__ for cls in FAMILIES))
    raise ValueError(
        f"Expected a backbone of a known family: {known}. Received: "
        f"{type(backbone).__name__}. Describe its MLP with "
        "`keras_grow.register_family(keras_grow.Family(...))` first."
    )


def config_of(backbone: Any, plain: Any) -> dict[str, Any]:
    """The config of a backbone as one of the class `plain`.

    KerasHub's Llama leaves out whether the head is tied to the embedding.
    """
    config: dict[str, Any] = plain.get_config(backbone)
    tied = getattr(backbone.token_embedding, "tie_weights", None)
    if tied is not None and "tie_word_embeddings" in arguments_of(plain):
        config.setdefault("tie_word_embeddings", tied)
    return config


def write_whole_config(backbone: Any) -> None:
    """Let a plain backbone save all of `config_of`, or it could not load."""
    plain = type(backbone)
    whole = functools.partial(config_of, backbone, plain)
    if whole().keys() > plain.get_config(backbone).keys():
        backbone.get_config = whole


def arguments_of(cls: type) -> set[str]:
    """Arguments of a class or of a class that it derives from."""
    return {
        name
        for base in cls.__mro__
        if "__init__" in vars(base)
        for name in inspect.signature(vars(base)["__init__"]).parameters
    }


def tasks_over(backbone_cls: type) -> list[type]:
    """Every KerasHub task class for backbones of exactly this class."""
    found, left = [], [keras_hub.models.Task]
    while left:
        cls = left.pop()
        left += cls.__subclasses__()
        if vars(cls).get("backbone_cls") is backbone_cls:
            found.append(cls)
    return found

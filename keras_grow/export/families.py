"""Which KerasHub families can be exported, and as what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras_hub

from keras_grow.export import configs
from keras_grow.export import weight_maps
from keras_grow.export.weight_maps import WeightMap


@dataclass(frozen=True)
class ExportFamily:
    """One row of data: a family as `transformers` and llama.cpp know it.

    `architecture` is its class with a head in `transformers`, `gguf` its
    architecture in llama.cpp. `split` is a key of `tokenizer_json.SPLITS`,
    `terms` the name and address of a license that the whole family has. With
    `eager`, `transformers` computes it correctly only with eager attention.
    """

    model_type: str
    architecture: str
    weights: WeightMap
    config: Callable[[Any], dict[str, Any]]
    gguf: str | None = None
    split: str = "llama3"
    terms: tuple[str, str] | None = None
    eager: bool = False


_GEMMA_TERMS = ("gemma", "https://ai.google.dev/gemma/terms")

GEMMA2 = ExportFamily(
    "gemma2",
    "Gemma2ForCausalLM",
    weight_maps.GEMMA2,
    configs.gemma,
    terms=_GEMMA_TERMS,
    eager=True,
)
LLAMA = ExportFamily(
    "llama", "LlamaForCausalLM", weight_maps.LLAMA, configs.llama, "llama"
)

_models = keras_hub.models
FAMILIES: dict[type, ExportFamily] = {
    _models.Gemma3Backbone: ExportFamily(
        "gemma3_text",
        "Gemma3ForCausalLM",
        weight_maps.GEMMA3,
        configs.gemma3,
        "gemma3",
        terms=_GEMMA_TERMS,
    ),
    _models.GemmaBackbone: ExportFamily(
        "gemma",
        "GemmaForCausalLM",
        weight_maps.GEMMA,
        configs.gemma,
        terms=_GEMMA_TERMS,
    ),
    _models.LlamaBackbone: LLAMA,
    _models.Llama3Backbone: LLAMA,
    _models.MistralBackbone: ExportFamily(
        "mistral",
        "MistralForCausalLM",
        weight_maps.LLAMA,
        configs.mistral,
        "llama",
    ),
    _models.QwenBackbone: ExportFamily(
        "qwen2",
        "Qwen2ForCausalLM",
        weight_maps.QWEN,
        configs.qwen,
        "qwen2",
        split="qwen2",
    ),
    _models.Qwen3Backbone: ExportFamily(
        "qwen3",
        "Qwen3ForCausalLM",
        weight_maps.QWEN3,
        configs.qwen3,
        "qwen3",
        split="qwen2",
    ),
    _models.SmolLM3Backbone: ExportFamily(
        "smollm3", "SmolLM3ForCausalLM", weight_maps.SMOLLM3, configs.smollm3
    ),
    _models.Phi3Backbone: ExportFamily(
        "phi3", "Phi3ForCausalLM", weight_maps.PHI3, configs.phi3
    ),
    _models.GPT2Backbone: ExportFamily(
        "gpt2",
        "GPT2LMHeadModel",
        weight_maps.GPT2,
        configs.gpt2,
        split="gpt2",
    ),
}


def export_family_of(backbone: Any) -> ExportFamily:
    """The row for a plain backbone."""
    for cls in type(backbone).__mro__:
        if cls is _models.GemmaBackbone and configs.is_gemma2(backbone):
            return GEMMA2
        if cls in FAMILIES:
            return FAMILIES[cls]
    known = ", ".join(cls.__name__ for cls in FAMILIES)
    raise ValueError(
        f"Expected a backbone that can be exported: {known}. Received: "
        f"{type(backbone).__name__}. Save it with `save_to_preset` instead."
    )

"""A tiny random-weight model of two blocks of every built-in family."""

import contextlib
import functools
from types import SimpleNamespace
from unittest import mock

import keras
import keras_hub
import numpy as np
import tiny_tokenizers
from keras_hub.src.models.qwen3_5 import qwen3_5_gated_delta_net
from tiny_models import drawn_by_numpy
from tiny_models import randomize

VOCABULARY_SIZE = 40
LENGTH = 8

_LLAMA = dict(
    vocabulary_size=VOCABULARY_SIZE,
    num_layers=2,
    num_query_heads=4,
    num_key_value_heads=2,
    hidden_dim=16,
    intermediate_dim=24,
)
_GPT = dict(
    vocabulary_size=VOCABULARY_SIZE,
    num_layers=2,
    num_heads=2,
    hidden_dim=16,
    intermediate_dim=24,
)
_GEMMA = dict(_LLAMA, head_dim=8)
_WINDOWS = dict(use_sliding_window_attention=True, sliding_window_size=8)
_GEMMA4 = dict(_GEMMA, image_size=16, sliding_window_size=8)
_FULL = ["full_attention"] * 2
_MIXED = dict(
    head_dim=8,
    layer_types=["linear_attention", "full_attention"],
    partial_rotary_factor=0.5,
    linear_num_key_heads=2,
    linear_num_value_heads=4,
    linear_key_head_dim=4,
    linear_value_head_dim=4,
)
_EXPERTS = dict(moe_intermediate_dim=8, num_experts=2, top_k=1)

# Name: the class without `Backbone` and `CausalLM`, and its arguments.
CONFIGS = {
    "Gemma": ("Gemma", dict(_GEMMA, intermediate_dim=48)),
    "Gemma 2": (
        "Gemma",
        dict(
            _GEMMA,
            intermediate_dim=48,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            attention_logit_soft_cap=50.0,
            final_logit_soft_cap=30.0,
            **_WINDOWS,
        ),
    ),
    "Gemma 3": (
        "Gemma3",
        dict(
            _GEMMA,
            image_size=16,
            use_query_key_norm=True,
            use_post_ffw_norm=True,
            use_post_attention_norm=True,
            **_WINDOWS,
        ),
    ),
    "PaliGemma": (
        "PaliGemma",
        dict(
            _GEMMA,
            num_key_value_heads=1,
            image_size=16,
            include_rescaling=False,
            vit_patch_size=8,
            vit_num_heads=2,
            vit_hidden_dim=8,
            vit_num_layers=1,
            vit_intermediate_dim=8,
        ),
    ),
    "Gemma 3n": (
        "Gemma3n",
        dict(
            text_vocab_size=VOCABULARY_SIZE,
            text_hidden_size=16,
            num_hidden_layers=2,
            pad_token_id=0,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            intermediate_size=[24, 24],
            hidden_activation="gelu_approximate",
            layer_types=_FULL,
            sliding_window=8,
            rope_theta=1e4,
            max_position_embeddings=32,
            vocab_size_per_layer_input=VOCABULARY_SIZE,
            hidden_size_per_layer_input=4,
            altup_num_inputs=2,
            laurel_rank=2,
        ),
    ),
    "Gemma 4": ("Gemma4", _GEMMA4),
    "Gemma 4 with experts": (
        "Gemma4",
        dict(
            _GEMMA4,
            enable_moe_block=True,
            num_experts=2,
            expert_intermediate_dim=8,
            num_experts_per_token=1,
        ),
    ),
    "Llama": ("Llama", _LLAMA),
    "Llama 3": ("Llama3", dict(_LLAMA, tie_word_embeddings=True)),
    "Mistral": ("Mistral", dict(_LLAMA, sliding_window=8)),
    "Qwen 2.5": ("Qwen", _LLAMA),
    "Qwen 3": ("Qwen3", dict(_LLAMA, head_dim=8)),
    "Qwen 3.5": ("Qwen3_5", dict(_LLAMA, **_MIXED)),
    "Qwen-MoE": (
        "QwenMoe",
        dict(_LLAMA, shared_expert_intermediate_dim=12, **_EXPERTS),
    ),
    "Qwen 3.5-MoE": (
        "Qwen3_5Moe",
        dict(
            {k: v for k, v in _LLAMA.items() if k != "intermediate_dim"},
            shared_expert_intermediate_size=12,
            **_EXPERTS,
            **_MIXED,
        ),
    ),
    "Phi 3": ("Phi3", _LLAMA),
    "SmolLM 3": (
        "SmolLM3",
        dict(
            vocabulary_size=VOCABULARY_SIZE,
            hidden_dim=16,
            intermediate_dim=24,
            num_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            attention_bias=False,
            attention_dropout=0.0,
            rope_layer_enabled_list=[True, False],
            layer_types=_FULL,
            mlp_bias=True,
            layer_norm_epsilon=1e-6,
            max_position_embeddings=32,
            rope_theta=1e4,
            partial_rotary_factor=1.0,
        ),
    ),
    "GPT-2": ("GPT2", dict(_GPT, max_sequence_length=16, dropout=0.0)),
    "OPT": ("OPT", dict(_GPT, max_sequence_length=16, dropout=0.0)),
    "GPT-NeoX": ("GPTNeoX", dict(_GPT, hidden_dim=32)),
    "BLOOM": ("Bloom", _GPT),
    "Falcon": (
        "Falcon",
        dict(
            vocabulary_size=VOCABULARY_SIZE,
            num_layers=2,
            num_attention_heads=2,
            hidden_dim=16,
            intermediate_dim=24,
        ),
    ),
}


def parametrize_families(metafunc, argument, kinds, without=()):
    """Run a test on some families, and with `--every-family` on all."""
    names = kinds
    if metafunc.config.getoption("every_family"):
        names = [name for name in CONFIGS if name not in without]
    metafunc.parametrize(argument, names, indirect=True, scope="module")


@contextlib.contextmanager
def few_programs():
    """Avoid the programs that tests of many families would compile most.

    See `drawn_by_numpy`. KerasHub unrolls linear attention over chunks of 64
    tokens; here they are of 8, the length of the texts.
    """
    linear = "_chunk_gated_delta_rule"
    rule = getattr(qwen3_5_gated_delta_net, linear)
    shorter = functools.partial(rule, chunk_size=LENGTH)
    with (
        drawn_by_numpy(),
        mock.patch.object(qwen3_5_gated_delta_net, linear, shorter),
    ):
        yield


def tiny_backbone(name: str, **overrides) -> keras.Model:
    """The backbone of a family, with the weights that Keras gives it."""
    stem, config = CONFIGS[name]
    cls = getattr(keras_hub.models, f"{stem}Backbone")
    return cls(**{**config, **overrides})


def tiny_family(name: str, **overrides) -> keras.Model:
    """A causal language model of a family; token ids go in and out."""
    task = getattr(keras_hub.models, f"{CONFIGS[name][0]}CausalLM")
    # Before the task: that of Gemma 3n keeps the embeddings it was built with.
    backbone = randomize(tiny_backbone(name, **overrides))
    return task(backbone=backbone, preprocessor=None)


def speaking_family(name: str, **overrides) -> keras.Model:
    """A model of a family with the tokenizer of another, for text only."""
    names = ["vocabulary_size"]
    if name == "Gemma 3n":
        names = ["text_vocab_size", "vocab_size_per_layer_input"]
    lm = tiny_family(name, **dict.fromkeys(names, 420), **overrides)
    lm.preprocessor = SimpleNamespace(tokenizer=tiny_tokenizers.gemma())
    return lm


def batch_for(name: str) -> dict[str, np.ndarray]:
    """A batch of random tokens, with the other inputs of the family."""
    rng = np.random.default_rng(0)
    mask = np.ones((2, LENGTH), "bool")
    mask[-1, -2:] = False
    tokens = rng.integers(4, VOCABULARY_SIZE, mask.shape)
    x = {
        "token_ids": np.where(mask, tokens, 0).astype("int32"),
        "padding_mask": mask,
    }
    if name.startswith("Gemma 4"):
        positions = np.broadcast_to(np.arange(LENGTH), mask.shape)
        x["position_ids"] = positions.astype("int32")
    if name == "PaliGemma":
        x["images"] = np.ones((2, 16, 16, 3), "float32")
        x["response_mask"] = np.zeros(mask.shape, "int32")
    return x

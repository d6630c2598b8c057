"""Families grow as the architectures that `transformers` has, not as ours.

A random checkpoint is written by `transformers` and loaded by KerasHub's own
converter; families that KerasHub has no converter for are not here.
"""

import keras
import numpy as np
import pytest
from keras import ops
from keras_hub import models

import keras_grow

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="what is compared is KerasHub's arithmetic, not a backend's",
)

LENGTH = 8
_SMALL = dict(
    vocab_size=40,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    max_position_embeddings=32,
    pad_token_id=0,
)
_WITHOUT_HEAD_DIM = {k: v for k, v in _SMALL.items() if k != "head_dim"}
_EXPERTS = dict(
    moe_intermediate_size=8,
    shared_expert_intermediate_size=12,
    num_experts=2,
    num_experts_per_tok=1,
)
_LINEAR = dict(
    layer_types=["linear_attention", "full_attention"],
    linear_num_key_heads=2,
    linear_num_value_heads=4,
    linear_key_head_dim=4,
    linear_value_head_dim=4,
)
CONFIGS = {
    "Gemma": _SMALL,
    "Gemma2": dict(_SMALL, query_pre_attn_scalar=8),
    "Gemma3Text": dict(_SMALL, query_pre_attn_scalar=8),
    "Gemma4Text": dict(
        _SMALL, global_head_dim=8, hidden_size_per_layer_input=0
    ),
    "Llama": _WITHOUT_HEAD_DIM,
    "Mistral": dict(_SMALL, sliding_window=8),
    "Qwen2": _WITHOUT_HEAD_DIM,
    "Qwen2Moe": dict(_WITHOUT_HEAD_DIM, **_EXPERTS),
    "Qwen3": _SMALL,
    "SmolLM3": _WITHOUT_HEAD_DIM,
    "GPT2": dict(vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2),
}


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens)).logits.float().numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_computes_what_transformers_does_before_and_after_growing(
    name, tmp_path
):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name])
    source = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in source.parameters():
            # The defaults are too small for a difference to show, and some
            # converters go through float16.
            parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.half().float())
    source.save_pretrained(tmp_path)
    # For Gemma 4 `CausalLM` finds the class of its assistants.
    task = models.Gemma4CausalLM if "Gemma4" in name else models.CausalLM
    lm = task.from_preset(str(tmp_path), preprocessor=None)
    tokens = np.random.default_rng(0).integers(4, 40, (2, LENGTH))
    wanted = logits_of(source, tokens)
    batch = {
        "token_ids": tokens.astype("int32"),
        "padding_mask": np.ones_like(tokens, "bool"),
    }
    if name == "Gemma4Text":
        positions = np.broadcast_to(np.arange(LENGTH), tokens.shape)
        batch["position_ids"] = positions.astype("int32")
    assert np.std(wanted) > 0.1
    scale = np.abs(wanted).max()
    for _ in ("before", "after"):
        found = ops.convert_to_numpy(lm(batch))
        np.testing.assert_allclose(found, wanted, atol=1e-4 * scale)
        if not keras_grow.growths(lm):
            keras_grow.grow_model(lm)

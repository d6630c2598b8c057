"""Grown families compute what `transformers` computes.

A random checkpoint is written by `transformers` and loaded by KerasHub's own
converter, which some families lack: see `WITHOUT_CONVERTER`, and
`test_transformers_weights.py`.
"""

import json

import numpy as np
import pytest
from beside_transformers import check
from beside_transformers import compare
from beside_transformers import drawn
from beside_transformers import logits_of
from beside_transformers import random_batch
from family_models import LENGTH
from family_models import few_programs
from family_models import tiny_backbone
from keras import ops
from keras_hub import models
from keras_hub.src.utils.transformers import convert_gemma3n
from keras_hub.src.utils.transformers.safetensor_utils import SafetensorLoader
from safetensors.numpy import load_file
from safetensors.numpy import save_file

import keras_grow

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

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


WITHOUT_CONVERTER = ["Phi3", "OPT", "GPTNeoX", "Bloom", "Falcon"]


@pytest.fixture(scope="module", autouse=True)
def _few_programs():
    with few_programs():
        yield


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_computes_what_transformers_does_before_and_after_growing(
    name, tmp_path
):
    config = getattr(transformers, f"{name}Config")(**CONFIGS[name])
    source = drawn(transformers.AutoModelForCausalLM.from_config(config))
    source.save_pretrained(tmp_path)
    # For Gemma 4 `CausalLM` finds the class of its assistants.
    task = models.Gemma4CausalLM if "Gemma4" in name else models.CausalLM
    lm = task.from_preset(str(tmp_path), preprocessor=None)
    tokens, batch = random_batch()
    if name == "Gemma4Text":
        positions = np.broadcast_to(np.arange(LENGTH), tokens.shape)
        batch["position_ids"] = positions.astype("int32")
    compare(lm, batch, logits_of(source, tokens))


def test_llama_2_computes_what_transformers_does(tmp_path):
    """KerasHub converts every Llama to Llama 3; its weights fit Llama 2."""
    config = transformers.LlamaConfig(**CONFIGS["Llama"])
    source = drawn(transformers.AutoModelForCausalLM.from_config(config))
    source.save_pretrained(tmp_path)
    converted = models.Llama3Backbone.from_preset(str(tmp_path))
    backbone = tiny_backbone("Llama", layer_norm_epsilon=config.rms_norm_eps)
    for own, other in zip(backbone.weights, converted.weights, strict=True):
        assert own.path.split("/")[1:] == other.path.split("/")[1:]
        own.assign(other)
    lm = models.LlamaCausalLM(backbone=backbone, preprocessor=None)
    tokens, batch = random_batch()
    compare(lm, batch, logits_of(source, tokens))


@pytest.mark.parametrize("experts", [{}, _EXPERTS], ids=["dense", "moe"])
def test_the_text_half_of_qwen_3_5_computes_what_transformers_does(
    experts, tmp_path
):
    name = "Qwen3_5Moe" if experts else "Qwen3_5"
    config = getattr(transformers, f"{name}Config")(
        text_config=dict(_SMALL, **_LINEAR, **experts),
        vision_config=dict(
            depth=1,
            hidden_size=8,
            num_heads=2,
            intermediate_size=8,
            out_hidden_size=_SMALL["hidden_size"],
        ),
    )
    source = drawn(transformers.AutoModelForImageTextToText.from_config(config))
    source.save_pretrained(tmp_path)
    # The converter takes this for a model of text alone.
    file = tmp_path / "config.json"
    written = json.loads(file.read_text())
    del written["vision_config"]
    file.write_text(json.dumps(written))
    lm = models.CausalLM.from_preset(str(tmp_path), preprocessor=None)
    tokens, batch = random_batch()
    compare(lm, batch, logits_of(source, tokens))


def test_pali_gemma_computes_what_transformers_does(tmp_path):
    vocabulary_size = _SMALL["vocab_size"]
    config = transformers.PaliGemmaConfig(
        text_config=dict(
            _SMALL,
            model_type="gemma",
            vocab_size=vocabulary_size + 1,
            num_key_value_heads=1,
            # The converter takes the number of patches for the size of a head:
            # both are 256 in what was published.
            head_dim=4,
        ),
        vision_config=dict(
            model_type="siglip_vision_model",
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
            vision_use_head=False,
        ),
        image_token_index=vocabulary_size,
        projection_dim=_SMALL["hidden_size"],
        hidden_size=_SMALL["hidden_size"],
    )
    source = drawn(transformers.AutoModelForImageTextToText.from_config(config))
    source.save_pretrained(tmp_path)
    # What was published has a level more than transformers 5 writes.
    file = tmp_path / "model.safetensors"
    save_file(
        {
            path.replace("vision_tower.", "vision_tower.vision_model."): weight
            for path, weight in load_file(file).items()
        },
        file,
    )
    lm = models.CausalLM.from_preset(str(tmp_path), preprocessor=None)
    tokens, batch = random_batch()
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 3))
    batch["images"] = images.astype("float32")
    batch["response_mask"] = np.zeros_like(tokens, "int32")
    patches = np.full((2, 4), vocabulary_size)
    wanted = logits_of(
        source,
        np.concatenate([patches, tokens], axis=1),
        pixel_values=torch.tensor(batch["images"].transpose(0, 3, 1, 2)),
    )
    compare(lm, batch, wanted[:, -LENGTH:, :vocabulary_size])


def test_the_text_half_of_gemma_3n_computes_what_transformers_does(tmp_path):
    config = transformers.Gemma3nTextConfig(
        **dict(_SMALL, intermediate_size=[24, 24]),
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=8,
        vocab_size_per_layer_input=_SMALL["vocab_size"],
        hidden_size_per_layer_input=4,
        altup_num_inputs=2,
        laurel_rank=2,
        num_kv_shared_layers=0,
        activation_sparsity_pattern=[0.9, 0.0],
    )
    source = drawn(transformers.Gemma3nForCausalLM(config))
    # By the names of what was published, which has towers besides.
    save_file(
        {
            path.replace("model.", "model.language_model."): weight.numpy()
            for path, weight in source.state_dict().items()
        },
        tmp_path / "model.safetensors",
    )
    whole = transformers.Gemma3nConfig(text_config=config.to_dict())
    written = whole.to_dict()
    # transformers 5 writes it for each type of layer, which the converter
    # does not read.
    with pytest.raises(KeyError, match="rope_theta"):
        convert_gemma3n.convert_backbone_config(written)
    theta = config.rope_parameters["full_attention"]["rope_theta"]
    written["text_config"]["rope_theta"] = theta
    options = convert_gemma3n.convert_backbone_config(written)
    # The converter has one size of a tower for images: 300 million parameters.
    options |= {"vision_encoder_config": None, "audio_encoder_config": None}
    backbone = models.Gemma3nBackbone(**options)
    with SafetensorLoader(str(tmp_path)) as loader:
        convert_gemma3n._port_language_model(loader, backbone)
    lm = models.Gemma3nCausalLM(backbone=backbone, preprocessor=None)
    tokens, batch = random_batch()
    wanted = logits_of(source, tokens)
    check(lm, batch, wanted)
    before = ops.convert_to_numpy(lm(batch))
    with pytest.raises(ValueError, match="block 0, which keeps only"):
        keras_grow.grow_model(lm)
    keras_grow.grow_model(lm, layers=[1])
    np.testing.assert_array_equal(ops.convert_to_numpy(lm(batch)), before)


@pytest.mark.parametrize("name", WITHOUT_CONVERTER)
def test_families_without_a_test_here_have_no_converter(name, tmp_path):
    getattr(transformers, f"{name}Config")().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no converter"):
        models.Backbone.from_preset(str(tmp_path))

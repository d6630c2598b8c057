"""What llama.cpp needs in a GGUF file: metadata, names, order of rows.

Starts from the Hugging Face form: names, shapes and `config.json` are those of
`weight_maps` and `configs`, and what llama.cpp stores differently is here.
"""

import functools
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.export.arrange import interleave_rotary
from keras_grow.export.arrange import keep

_BLOCKS_OF_27B = 62
_ROTARY = re.compile(r"\.self_attn\.([qk])_proj\.(weight|bias)$")


def metadata(arch: str, config: dict[str, Any]) -> dict[str, Any]:
    """The keys of a model, without `general` and `tokenizer`.

    They are made from its `config.json`. Whole numbers are written as uint32,
    others as float32. A model that llama.cpp computes differently is refused.
    """
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    keys: dict[str, Any] = {
        "context_length": _context(arch, config),
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": size,
        "attention.value_length": size,
        "attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "rope.dimension_count": size,
        "rope.freq_base": float(config["rope_theta"]),
        "vocab_size": config["vocab_size"],
    }
    scaling = config["rope_scaling"] or {}
    if scaling.get("rope_type") == "linear":
        keys["rope.scaling.type"] = "linear"
        keys["rope.scaling.factor"] = scaling["factor"]
    if arch == "gemma3":
        _check_gemma3(config)
        keys["attention.sliding_window"] = config["sliding_window"]
        keys["rope.freq_base_swa"] = config["rope_local_base_freq"]
        if config["final_logit_softcapping"] is not None:
            keys["final_logit_softcapping"] = float(
                config["final_logit_softcapping"]
            )
    return {f"{arch}.{key}": value for key, value in keys.items()}


def change(arch: str, name: str, config: dict[str, Any]) -> Any:
    """How a tensor of that Hugging Face name is changed for llama.cpp."""
    if arch == "gemma3" and name.endswith("norm.weight"):
        return _plus_one
    rotary = _ROTARY.search(name)
    if arch == "llama" and rotary:
        key = "num_attention_heads"
        if rotary.group(1) == "k":
            key = "num_key_value_heads"
        return functools.partial(interleave_rotary, heads=config[key])
    return keep


def rope_factors(config: dict[str, Any]) -> NDArray[Any] | None:
    """Divisors of the rotary frequencies that Llama 3.1 stretches.

    llama.cpp takes them as the tensor `rope_freqs.weight`.
    """
    scaling = config["rope_scaling"] or {}
    if scaling.get("rope_type") != "llama3":
        return None
    size = config["head_dim"]
    powers = np.arange(0, size, 2, dtype=np.float64) / size
    waves = 2 * math.pi * config["rope_theta"] ** powers
    length = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    smooth = np.clip((length / waves - low) / (high - low), 0, 1)
    factors = 1 / ((1 - smooth) / scaling["factor"] + smooth)
    return np.asarray(factors, np.float32)


def _plus_one(scale: NDArray[Any]) -> NDArray[Any]:
    """llama.cpp multiplies by the weight, Gemma by the weight plus one."""
    return scale + np.float32(1)


def _context(arch: str, config: dict[str, Any]) -> int:
    """The longest text: at most a window that is not computed."""
    longest = int(config["max_position_embeddings"])
    window = config.get("sliding_window")
    slides = config.get("use_sliding_window", window is not None)
    if arch != "gemma3" and slides and window:
        return min(longest, int(window))
    return longest


def _check_gemma3(config: dict[str, Any]) -> None:
    if "sliding_attention" not in config["layer_types"]:
        raise ValueError(
            "Expected a Gemma 3 with sliding windows, as llama.cpp computes "
            "it. Received: use_sliding_window_attention=False"
        )
    # llama.cpp infers the scale of queries from the number of blocks.
    by_hidden = config["num_hidden_layers"] == _BLOCKS_OF_27B
    scalar = config["head_dim"]
    if by_hidden:
        scalar = config["hidden_size"] // config["num_attention_heads"]
    if config["query_pre_attn_scalar"] != scalar:
        raise ValueError(
            f"Expected a Gemma 3 of {config['num_hidden_layers']} blocks to "
            f"divide its queries by the root of {scalar}, as llama.cpp does. "
            f"Received: {config['query_pre_attn_scalar']}"
        )

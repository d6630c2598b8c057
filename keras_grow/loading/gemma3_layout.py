"""A Gemma 3 GGUF file in terms of KerasHub's `Gemma3Backbone`.

Pure functions of the metadata: the backbone's arguments, and for each of its
weights the tensor that holds it. Names and conventions are llama.cpp's: its
converter adds one to RMSNorm weights and does not change the rotary order.
"""

import dataclasses
import math
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.files.checked_json import show

ARCHITECTURE = "gemma3"
# Values that are built into `Gemma3Backbone`, with no argument for them.
_FIXED = {
    "rope.freq_base": 1_000_000.0,
    "rope.freq_base_swa": 10_000.0,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "attention.sliding_window_pattern": 6,
}
_FIXED_BUT_OPTIONAL = ("rope.freq_base_swa", "attention.sliding_window_pattern")
# llama.cpp recognizes the 27B model, the only one that scales its queries by
# the hidden size per head, by its number of blocks.
_BLOCKS_OF_27B = 62


@dataclasses.dataclass(frozen=True)
class Slot:
    """One weight of the backbone and the tensor that holds it.

    `shape` is the tensor's in the file, in NumPy's order. `weight` is a dotted
    path from `layer`. `arrange` turns the tensor into the weight's value.
    """

    tensor: str
    shape: tuple[int, ...]
    layer: str
    weight: str
    arrange: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def backbone_arguments(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Gemma3Backbone`, all but the vocabulary size."""
    architecture = metadata.get("general.architecture")
    if not same(architecture, ARCHITECTURE):
        raise ValueError(
            f"Expected a GGUF file of the architecture {ARCHITECTURE!r} "
            f"(Gemma 3, text). Received: architecture={show(architecture)}. "
            "Other architectures are not supported."
        )
    pieces = metadata.get("split.count", 1)
    if not same(pieces, 1):
        raise ValueError(
            "Expected a GGUF file in one piece. Received: "
            f"split.count={show(pieces)}. Merge the pieces with "
            "llama.cpp's `llama-gguf-split --merge` first."
        )
    _check_fixed(metadata)
    heads = _size(metadata, "attention.head_count")
    key_value_heads = _size(metadata, "attention.head_count_kv")
    head_dim = _size(metadata, "attention.key_length")
    if heads % key_value_heads:
        raise _unfit(metadata, "attention.head_count_kv", f"divide {heads}")
    if head_dim % 2:
        raise _unfit(metadata, "attention.key_length", "be even")
    if _size(metadata, "attention.value_length") != head_dim:
        raise _unfit(metadata, "attention.value_length", f"be {head_dim}")
    return {
        "image_size": None,
        "num_layers": _size(metadata, "block_count"),
        "num_query_heads": heads,
        "num_key_value_heads": key_value_heads,
        "hidden_dim": _size(metadata, "embedding_length"),
        "intermediate_dim": _size(metadata, "feed_forward_length"),
        "head_dim": head_dim,
        "use_query_key_norm": True,
        "use_post_ffw_norm": True,
        "use_post_attention_norm": True,
        "attention_logit_soft_cap": _cap(metadata, "attn_logit_softcapping"),
        "final_logit_soft_cap": _cap(metadata, "final_logit_softcapping"),
        "use_sliding_window_attention": True,
        "sliding_window_size": _size(metadata, "attention.sliding_window"),
        "global_rope_scaling_factor": _rope_factor(metadata),
        "layer_norm_epsilon": _FIXED["attention.layer_norm_rms_epsilon"],
    }


def same(value: Any, expected: Any) -> bool:
    """Whether a value of the metadata, of any type, is the expected one."""
    # A list of numbers is an array, which compares entry by entry.
    return type(value) is type(expected) and bool(value == expected)


def query_gain(metadata: Mapping[str, Any]) -> float:
    """Return the factor that the query norm needs beyond KerasHub's scale.

    KerasHub divides queries by the root of the head size in every Gemma 3.
    The 27B model divides by another number; as its queries are normalized,
    the ratio can live in that norm's weight, and the function is the same.
    """
    head_dim = _size(metadata, "attention.key_length")
    heads = _size(metadata, "attention.head_count")
    scale = 1 / math.sqrt(head_dim)
    if _size(metadata, "block_count") == _BLOCKS_OF_27B:
        scale = 1 / math.sqrt(_size(metadata, "embedding_length") / heads)
    scale = _number(metadata, "attention.scale", scale)
    return scale * math.sqrt(head_dim)


def slots(
    arguments: Mapping[str, Any], vocabulary_size: int, gain: float = 1.0
) -> Iterator[Slot]:
    """Yield every weight of the backbone, the largest first."""
    d, f = arguments["hidden_dim"], arguments["intermediate_dim"]
    n, k = arguments["num_query_heads"], arguments["num_key_value_heads"]
    h = arguments["head_dim"]

    def norm(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        return weight - np.float32(1)

    def query_norm(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        return weight * np.float32(gain) - np.float32(1)

    def out_first(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        return kernel.T

    def heads_out(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        return kernel.reshape(-1, h, d).transpose(0, 2, 1)

    def heads_in(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        return kernel.reshape(d, n, h).transpose(1, 2, 0)

    yield Slot(
        "token_embd.weight",
        (vocabulary_size, d),
        "token_embedding",
        "embeddings",
        np.asarray,
    )
    yield Slot("output_norm.weight", (d,), "final_normalization", "scale", norm)
    block = (
        ("attn_norm", (d,), "pre_attention_norm.scale", norm),
        ("attn_q", (n * h, d), "attention.query_dense.kernel", heads_out),
        ("attn_k", (k * h, d), "attention.key_dense.kernel", heads_out),
        ("attn_v", (k * h, d), "attention.value_dense.kernel", heads_out),
        ("attn_output", (d, n * h), "attention.output_dense.kernel", heads_in),
        ("attn_q_norm", (h,), "attention.query_norm.scale", query_norm),
        ("attn_k_norm", (h,), "attention.key_norm.scale", norm),
        ("post_attention_norm", (d,), "post_attention_norm.scale", norm),
        ("ffn_norm", (d,), "pre_ffw_norm.scale", norm),
        ("ffn_gate", (f, d), "gating_ffw.kernel", out_first),
        ("ffn_up", (f, d), "gating_ffw_2.kernel", out_first),
        ("ffn_down", (d, f), "ffw_linear.kernel", out_first),
        ("post_ffw_norm", (d,), "post_ffw_norm.scale", norm),
    )
    for index in range(arguments["num_layers"]):
        for name, shape, weight, arrange in block:
            yield Slot(
                f"blk.{index}.{name}.weight",
                shape,
                f"decoder_block_{index}",
                weight,
                arrange,
            )


def _check_fixed(metadata: Mapping[str, Any]) -> None:
    for name, value in _FIXED.items():
        if name in _FIXED_BUT_OPTIONAL and _key(name) not in metadata:
            continue
        if not math.isclose(_number(metadata, name), value, rel_tol=1e-5):
            raise _unfit(
                metadata, name, f"be {value:g}, as in KerasHub's Gemma 3"
            )


def _rope_factor(metadata: Mapping[str, Any]) -> float:
    kind = metadata.get(_key("rope.scaling.type"), "linear")
    if not same(kind, "linear") and not same(kind, "none"):
        raise _unfit(metadata, "rope.scaling.type", "be 'linear' or 'none'")
    # Older files have the second key.
    factor = _number(
        metadata,
        "rope.scaling.factor",
        _number(metadata, "rope.scale_linear", 1.0),
    )
    if factor < 0:
        raise _unfit(metadata, "rope.scaling.factor", "be positive")
    # llama.cpp treats a factor of zero as no scaling.
    return 1.0 if kind == "none" or factor == 0 else factor


def _cap(metadata: Mapping[str, Any], name: str) -> float | None:
    cap = _number(metadata, name, 0.0)
    if cap < 0:
        raise _unfit(metadata, name, "be positive")
    return cap or None


def _size(metadata: Mapping[str, Any], name: str) -> int:
    value = metadata.get(_key(name))
    if type(value) is not int or value < 1:
        raise _unfit(metadata, name, "be a positive integer")
    return value


def _number(
    metadata: Mapping[str, Any], name: str, default: float | None = None
) -> float:
    value = metadata.get(_key(name), default)
    if type(value) not in (int, float) or not math.isfinite(value):
        raise _unfit(metadata, name, "be a finite number")
    return float(value)


def _key(name: str) -> str:
    return f"{ARCHITECTURE}.{name}"


def _unfit(metadata: Mapping[str, Any], name: str, expected: str) -> ValueError:
    key = _key(name)
    return ValueError(
        f"Expected the GGUF key {key} to {expected}. "
        f"Received: {key}={show(metadata.get(key))}. "
        "Such a model cannot be loaded into KerasHub's Gemma3Backbone."
    )

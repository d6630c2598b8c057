"""Where each KerasHub weight goes in a Hugging Face checkpoint, as data.

One table per family. Sources are attributes of a block, or of the backbone,
read through the layers' own properties, so that LoRA is folded in.
"""

from dataclasses import dataclass

from keras_grow.export.arrange import Arrange
from keras_grow.export.arrange import flat
from keras_grow.export.arrange import from_heads_first
from keras_grow.export.arrange import from_heads_last
from keras_grow.export.arrange import keep
from keras_grow.export.arrange import out_of_heads
from keras_grow.export.arrange import rows_from_heads
from keras_grow.export.arrange import rows_out_of_heads
from keras_grow.export.arrange import transpose


@dataclass(frozen=True)
class Row:
    """One tensor of the checkpoint and the weights that it is made of.

    `target` is its name within the block or the model, `sources` are
    attributes, with dots. Each is changed by `arrange`; then several are joined
    along `axis`. A model may lack it if it is `optional`.
    """

    target: str
    sources: tuple[str, ...]
    arrange: Arrange = keep
    axis: int = 0
    optional: bool = False


@dataclass(frozen=True)
class WeightMap:
    """The tensors of a checkpoint: rows of the backbone and of each block.

    `down` is the target in a block of the MLP's output, and `neurons` the axis
    of it along which the neurons lie.
    """

    model: tuple[Row, ...]
    block: tuple[Row, ...]
    prefix: str = "model.layers.{index}."
    down: str = "mlp.down_proj.weight"
    neurons: int = 1


def _row(target: str, source: str, arrange: Arrange = keep) -> Row:
    return Row(target, (source,), arrange)


def _attention(query: str, key: str, value: str, output: str) -> list[Row]:
    return [
        _row("self_attn.q_proj.weight", query, from_heads_last),
        _row("self_attn.k_proj.weight", key, from_heads_last),
        _row("self_attn.v_proj.weight", value, from_heads_last),
        _row("self_attn.o_proj.weight", output, out_of_heads),
    ]


_EMBEDDING = _row("model.embed_tokens.weight", "token_embedding.embeddings")
_HEAD = Row(
    "lm_head.weight",
    ("token_embedding.reverse_embeddings",),
    transpose,
    optional=True,
)

_LLAMA_MODEL = (
    _EMBEDDING,
    _row("model.norm.weight", "layer_norm.scale"),
    _HEAD,
)
_LLAMA_BLOCK = (
    _row("input_layernorm.weight", "_self_attention_layernorm.scale"),
    *_attention(
        "_self_attention_layer._query_dense.kernel",
        "_self_attention_layer._key_dense.kernel",
        "_self_attention_layer._value_dense.kernel",
        "_self_attention_layer._output_dense.kernel",
    ),
    _row("post_attention_layernorm.weight", "_feedforward_layernorm.scale"),
    _row("mlp.gate_proj.weight", "_feedforward_gate_dense.kernel", transpose),
    _row(
        "mlp.up_proj.weight",
        "_feedforward_intermediate_dense.kernel",
        transpose,
    ),
    _row("mlp.down_proj.weight", "_feedforward_output_dense.kernel", transpose),
)
LLAMA = WeightMap(_LLAMA_MODEL, _LLAMA_BLOCK)
QWEN = WeightMap(
    _LLAMA_MODEL,
    (
        *_LLAMA_BLOCK,
        *(
            _row(
                f"self_attn.{letter}_proj.bias",
                f"_self_attention_layer._{name}_dense.bias",
                flat,
            )
            for letter, name in (("q", "query"), ("k", "key"), ("v", "value"))
        ),
    ),
)
QWEN3 = WeightMap(
    _LLAMA_MODEL,
    (
        *_LLAMA_BLOCK,
        *(
            _row(
                f"self_attn.{letter}_norm.weight",
                f"_self_attention_layer._{name}_dense_layer_norm.scale",
            )
            for letter, name in (("q", "query"), ("k", "key"))
        ),
    ),
)

_GEMMA_MODEL = (_EMBEDDING, _row("model.norm.weight", "layer_norm.scale"))
_GEMMA_BLOCK = (
    _row("input_layernorm.weight", "pre_attention_norm.scale"),
    _row(
        "self_attn.q_proj.weight",
        "attention.query_dense.kernel",
        from_heads_first,
    ),
    _row(
        "self_attn.k_proj.weight",
        "attention.key_dense.kernel",
        from_heads_first,
    ),
    _row(
        "self_attn.v_proj.weight",
        "attention.value_dense.kernel",
        from_heads_first,
    ),
    _row(
        "self_attn.o_proj.weight",
        "attention.output_dense.kernel",
        out_of_heads,
    ),
    _row("mlp.gate_proj.weight", "gating_ffw.kernel", transpose),
    _row("mlp.up_proj.weight", "gating_ffw_2.kernel", transpose),
    _row("mlp.down_proj.weight", "ffw_linear.kernel", transpose),
)
# Hugging Face's `post_attention_layernorm` is before the MLP in Gemma 1 and
# after the attention in Gemma 2 and 3.
GEMMA = WeightMap(
    _GEMMA_MODEL,
    (
        *_GEMMA_BLOCK,
        _row("post_attention_layernorm.weight", "pre_ffw_norm.scale"),
    ),
)
GEMMA2 = WeightMap(
    _GEMMA_MODEL,
    (
        *_GEMMA_BLOCK,
        _row("post_attention_layernorm.weight", "post_attention_norm.scale"),
        _row("pre_feedforward_layernorm.weight", "pre_ffw_norm.scale"),
        _row("post_feedforward_layernorm.weight", "post_ffw_norm.scale"),
    ),
)
GEMMA3 = WeightMap(
    _GEMMA_MODEL,
    (
        *GEMMA2.block,
        _row("self_attn.q_norm.weight", "attention.query_norm.scale"),
        _row("self_attn.k_norm.weight", "attention.key_norm.scale"),
    ),
)

SMOLLM3 = WeightMap(
    (_EMBEDDING, _row("model.norm.weight", "norm.scale")),
    (
        _row("input_layernorm.weight", "input_layernorm.scale"),
        *(
            _row(
                f"self_attn.{letter}_proj.weight",
                f"self_attn.{letter}_proj.kernel",
                transpose,
            )
            for letter in "qkv"
        ),
        _row(
            "self_attn.o_proj.weight", "self_attn.o_proj.kernel", out_of_heads
        ),
        _row(
            "post_attention_layernorm.weight", "post_attention_layernorm.scale"
        ),
        *(
            _row(
                f"mlp.{name}_proj.weight", f"mlp.{name}_proj.kernel", transpose
            )
            for name in ("gate", "up", "down")
        ),
        *(
            Row(
                f"mlp.{name}_proj.bias",
                (f"mlp.{name}_proj.bias",),
                optional=True,
            )
            for name in ("gate", "up", "down")
        ),
    ),
)

PHI3 = WeightMap(
    _LLAMA_MODEL,
    (
        _row("input_layernorm.weight", "pre_attention_layernorm.scale"),
        Row(
            "self_attn.qkv_proj.weight",
            tuple(
                f"attention.{name}_dense.kernel"
                for name in ("query", "key", "value")
            ),
            from_heads_last,
        ),
        _row(
            "self_attn.o_proj.weight",
            "attention.output_dense.kernel",
            out_of_heads,
        ),
        _row(
            "post_attention_layernorm.weight", "post_attention_layernorm.scale"
        ),
        Row(
            "mlp.gate_up_proj.weight",
            (
                "feedforward_gate_dense.kernel",
                "feedforward_intermediate_dense.kernel",
            ),
            transpose,
        ),
        _row(
            "mlp.down_proj.weight", "feedforward_output_dense.kernel", transpose
        ),
    ),
)

_GPT2_ATTENTION = "_self_attention_layer."
GPT2 = WeightMap(
    (
        _row("transformer.wte.weight", "token_embedding.embeddings"),
        _row(
            "transformer.wpe.weight", "position_embedding.position_embeddings"
        ),
        _row("transformer.ln_f.weight", "layer_norm.gamma"),
        _row("transformer.ln_f.bias", "layer_norm.beta"),
    ),
    (
        _row("ln_1.weight", "_self_attention_layer_norm.gamma"),
        _row("ln_1.bias", "_self_attention_layer_norm.beta"),
        Row(
            "attn.c_attn.weight",
            tuple(
                f"{_GPT2_ATTENTION}{name}_dense.kernel"
                for name in ("query", "key", "value")
            ),
            rows_from_heads,
            axis=1,
        ),
        Row(
            "attn.c_attn.bias",
            tuple(
                f"{_GPT2_ATTENTION}{name}_dense.bias"
                for name in ("query", "key", "value")
            ),
            flat,
        ),
        _row(
            "attn.c_proj.weight",
            f"{_GPT2_ATTENTION}output_dense.kernel",
            rows_out_of_heads,
        ),
        _row("attn.c_proj.bias", f"{_GPT2_ATTENTION}output_dense.bias"),
        _row("ln_2.weight", "_feedforward_layer_norm.gamma"),
        _row("ln_2.bias", "_feedforward_layer_norm.beta"),
        _row("mlp.c_fc.weight", "_feedforward_intermediate_dense.kernel"),
        _row("mlp.c_fc.bias", "_feedforward_intermediate_dense.bias"),
        _row("mlp.c_proj.weight", "_feedforward_output_dense.kernel"),
        _row("mlp.c_proj.bias", "_feedforward_output_dense.bias"),
    ),
    prefix="transformer.h.{index}.",
    down="mlp.c_proj.weight",
    neurons=0,
)

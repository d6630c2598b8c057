"""A tiny Gemma 3 as a GGUF file, written with the gguf package's writer."""

import gguf
import keras
import keras_hub
import numpy as np
import sentencepiece
from tiny_models import GEMMA3
from tiny_models import randomize
from tiny_pieces import trained

HEADS, KEY_VALUE_HEADS, HEAD_DIM = 4, 2, 8
_TEXT = [
    "the quick brown fox jumps over the lazy dog",
    "def forget(model):\n    return model",
    "bonjour le monde, hello world. der schnelle braune Fuchs",
]
_RUNS = ["▁" * count for count in range(2, 6)] + ["\n" * n for n in range(1, 4)]
_TURNS = ["<start_of_turn>", "<end_of_turn>"]
UNKNOWN, CONTROL, USER_DEFINED, BYTE, NORMAL = 2, 3, 4, 6, 1


def original_tokenizer() -> sentencepiece.SentencePieceProcessor:
    """A tokenizer of Gemma's kind: byte fallback, no dummy prefix."""
    proto = trained(
        sentence_iterator=iter(_TEXT),
        vocab_size=400,
        user_defined_symbols=[*_TURNS, *_RUNS],
    )
    return sentencepiece.SentencePieceProcessor(model_proto=proto)


def vocabulary(tokenizer) -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types as llama.cpp's converter writes them."""
    tokens, scores, types = [], [], []
    for index in range(tokenizer.vocab_size()):
        piece, kind = tokenizer.id_to_piece(index), NORMAL
        if index < 4 or piece in _TURNS:
            kind = CONTROL
        elif tokenizer.is_byte(index):
            kind = BYTE
        elif piece in _RUNS:
            piece, kind = piece.replace("▁", " "), USER_DEFINED
        tokens.append(piece)
        scores.append(
            -1000.0
            if kind in (CONTROL, USER_DEFINED)
            else tokenizer.get_score(index)
        )
        types.append(kind)
    return tokens, scores, types


def metadata(lm: keras.Model, tokenizer) -> dict:
    """The metadata of `lm` by GGUF key, in the Python types of the format."""
    backbone = lm.backbone
    tokens, scores, types = vocabulary(tokenizer)
    return {
        "general.architecture": "gemma3",
        "gemma3.block_count": backbone.num_layers,
        "gemma3.embedding_length": backbone.hidden_dim,
        "gemma3.feed_forward_length": backbone.intermediate_dim,
        "gemma3.attention.head_count": backbone.num_query_heads,
        "gemma3.attention.head_count_kv": backbone.num_key_value_heads,
        "gemma3.attention.key_length": backbone.head_dim,
        "gemma3.attention.value_length": backbone.head_dim,
        "gemma3.attention.sliding_window": backbone.sliding_window_size,
        "gemma3.attention.layer_norm_rms_epsilon": 1e-6,
        "gemma3.rope.freq_base": 1e6,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 3,
        "tokenizer.ggml.padding_token_id": 0,
        "tokenizer.ggml.add_space_prefix": False,
    }


def tensors(lm: keras.Model) -> dict[str, np.ndarray]:
    """The weights of `lm` by their GGUF names, in llama.cpp's layout."""

    def array(variable):
        return keras.ops.convert_to_numpy(
            keras.ops.cast(variable, "float32")
        ).astype("float32")

    def output_first(dense):
        # (heads, in, size) to (heads * size, in)
        kernel = array(dense.kernel)
        return np.concatenate([head.T for head in kernel])

    def output_of_heads(dense):
        # (heads, size, out) to (out, heads * size)
        return np.concatenate(list(array(dense.kernel))).T

    def norm(layer):
        return array(layer.scale) + 1

    backbone = lm.backbone
    found = {
        "token_embd": array(backbone.token_embedding.embeddings),
        "output_norm": norm(backbone.get_layer("final_normalization")),
    }
    for index, block in enumerate(backbone.transformer_layers):
        attention = block.attention
        for name, value in {
            "attn_norm": norm(block.pre_attention_norm),
            "post_attention_norm": norm(block.post_attention_norm),
            "ffn_norm": norm(block.pre_ffw_norm),
            "post_ffw_norm": norm(block.post_ffw_norm),
            "attn_q": output_first(attention.query_dense),
            "attn_k": output_first(attention.key_dense),
            "attn_v": output_first(attention.value_dense),
            "attn_output": output_of_heads(attention.output_dense),
            "attn_q_norm": norm(attention.query_norm),
            "attn_k_norm": norm(attention.key_norm),
            "ffn_gate": array(block.gating_ffw.kernel).T,
            "ffn_up": array(block.gating_ffw_2.kernel).T,
            "ffn_down": array(block.ffw_linear.kernel).T,
        }.items():
            found[f"blk.{index}.{name}"] = value
    return {f"{name}.weight": value for name, value in found.items()}


def write(path, entries: dict, arrays: dict, quantization: str = "F32"):
    """Write a GGUF file; matrices in the quantization, norms in float32."""
    writer = gguf.GGUFWriter(path, entries["general.architecture"])
    for key, value in entries.items():
        if key == "general.architecture":
            continue
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        elif isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_array(key, value)
    for name, value in arrays.items():
        kind = gguf.GGMLQuantizationType[quantization]
        if value.ndim == 1 or quantization == "F32":
            writer.add_tensor(name, np.ascontiguousarray(value))
        else:
            writer.add_tensor(
                name,
                gguf.quants.quantize(np.ascontiguousarray(value), kind),
                raw_dtype=kind,
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def gemma3(tokenizer, seed: int = 0, **overrides) -> keras.Model:
    """A tiny random Gemma 3 for the vocabulary of `tokenizer`."""
    arguments = {
        **GEMMA3,
        "image_size": None,
        "vocabulary_size": tokenizer.vocab_size(),
        "dtype": "float32",
        **overrides,
    }
    backbone = keras_hub.models.Gemma3Backbone(**arguments)
    lm = keras_hub.models.Gemma3CausalLM(backbone=backbone, preprocessor=None)
    return randomize(lm, seed)


def content():
    """The metadata and the tensors of a tiny model."""
    tokenizer = original_tokenizer()
    lm = gemma3(tokenizer)
    return metadata(lm, tokenizer), tensors(lm)

"""A tiny task with a tokenizer of every family that exports as GGUF."""

import keras
import keras_hub
import tiny_families
import tiny_pieces
import tiny_tokenizers

MODELS = keras_hub.models
GGUF_FAMILIES = ("gemma3", "llama", "llama3", "mistral", "qwen", "qwen3")
# Rows of whole blocks of 32 weights, so that all of them are quantized.
SIZES = dict(hidden_dim=32, intermediate_dim=32, vocabulary_size=448)


def gguf_task(family: str) -> keras.Model:
    """A tiny task with a tokenizer, its last block grown."""
    text = tiny_tokenizers
    make, preprocessor, tokenizer = {
        "gemma3": (
            MODELS.Gemma3CausalLM,
            MODELS.Gemma3CausalLMPreprocessor,
            text.gemma,
        ),
        "llama": (
            MODELS.LlamaCausalLM,
            MODELS.LlamaCausalLMPreprocessor,
            text.llama,
        ),
        "mistral": (
            MODELS.MistralCausalLM,
            MODELS.MistralCausalLMPreprocessor,
            lambda: MODELS.MistralTokenizer(proto=text.llama().proto),
        ),
        "llama3": (
            MODELS.Llama3CausalLM,
            MODELS.Llama3CausalLMPreprocessor,
            lambda: text.byte_pairs("llama3"),
        ),
        "qwen": (
            MODELS.QwenCausalLM,
            MODELS.QwenCausalLMPreprocessor,
            lambda: text.byte_pairs("qwen2"),
        ),
        "qwen3": (MODELS.Qwen3CausalLM, MODELS.Qwen3CausalLMPreprocessor, None),
    }[family]
    sizes = dict(SIZES)
    if family == "gemma3":
        # The head sizes that transformers takes for granted in a GGUF file,
        # of which it reads no cap and no factor either.
        sizes.update(
            head_dim=256,
            num_query_heads=2,
            num_key_value_heads=1,
            global_rope_scaling_factor=1.0,
            final_logit_soft_cap=None,
        )
    if family == "qwen3":
        sizes.update(head_dim=128)
    if family == "mistral":
        sizes.update(sliding_window=None)
    if family == "llama3":
        sizes.update(
            rope_frequency_adjustment_factor=None,
            rope_low_freq_factor=None,
            rope_high_freq_factor=None,
            rope_pretraining_sequence_length=None,
        )
    if family == "qwen":
        sizes.update(rope_scaling_factor=1.0)
    if tokenizer is None:
        vocabulary, merges = text.learned(tiny_pieces.CORPUS)
        for token in ("<|endoftext|>", "<|im_end|>"):
            vocabulary[token] = len(vocabulary)

        def tokenizer():
            return MODELS.Qwen3Tokenizer(vocabulary=vocabulary, merges=merges)

    return make(
        backbone=tiny_families.grown(family, **sizes),
        preprocessor=preprocessor(tokenizer()),
    )

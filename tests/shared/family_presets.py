"""A tiny model of every family, with its own tokenizer."""

import functools
import inspect

import keras
import keras_hub
import tiny_tokenizers
from family_models import CONFIGS
from family_models import tiny_backbone
from tiny_models import randomize
from tiny_pieces import CORPUS
from tiny_pieces import trained

# As published vocabularies have them; of the BPE ones, whoever has which.
_GEMMA_MARKS = [
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
    "<start_of_audio>",
    "<end_of_audio>",
    "<audio_soft_token>",
    "<mask>",
    "[multimodal]",
    "<image>",
    "<|turn>",
    "<turn|>",
]
_BPE_MARKS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<think>",
    "</think>",
]
_LLAMA_PIECES = dict(
    **tiny_tokenizers.LLAMA_PIECES,
    user_defined_symbols=["<|endoftext|>", "<|user|>", "<|end|>"],
)
_PIECES = {"Llama": _LLAMA_PIECES, "Mistral": _LLAMA_PIECES}
_PIECES["Phi 3"] = _LLAMA_PIECES


@functools.cache
def _proto(name):
    if name in _PIECES:
        return trained(**_PIECES[name])
    return trained(user_defined_symbols=_GEMMA_MARKS)


@functools.cache
def _byte_pairs():
    vocabulary, merges = tiny_tokenizers.learned(CORPUS)
    for token in _BPE_MARKS:
        vocabulary.setdefault(token, len(vocabulary))
    return vocabulary, merges


def task_class(name: str) -> type:
    """The class of a family's causal language models."""
    return getattr(keras_hub.models, f"{CONFIGS[name][0]}CausalLM")


def own_tokenizer(name: str) -> keras_hub.tokenizers.Tokenizer:
    """A tokenizer of the family's class, of some hundred tokens."""
    cls = task_class(name).preprocessor_cls.tokenizer_cls
    known = inspect.signature(cls).parameters
    marks = ("has_vision_tokens", "has_video_tokens")
    options = {mark: False for mark in marks if mark in known}
    if "merges" in known and name != "Mistral":
        vocabulary, merges = _byte_pairs()
        options.update(vocabulary=dict(vocabulary), merges=list(merges))
    else:
        options.update(proto=_proto(name))
    return cls(**options)


def whole_family(name: str, seed: int = 0) -> keras.Model:
    """A random model of a family that reads and writes texts."""
    tokenizer = own_tokenizer(name)
    sizes = ["vocabulary_size"]
    if name == "Gemma 3n":
        sizes = ["text_vocab_size", "vocab_size_per_layer_input"]
    config = dict.fromkeys(sizes, tokenizer.vocabulary_size())
    if "max_sequence_length" in CONFIGS[name][1]:
        config["max_sequence_length"] = 32
    if "MoE" in name:
        # What balances the experts is no loss of the tokens.
        config["router_aux_loss_coefficient"] = 0.0
    if name == "Llama 3":
        # KerasHub's config leaves out that the head is tied.
        config["tie_word_embeddings"] = False
    # Before the task: that of Gemma 3n keeps the embeddings it was built with.
    backbone = randomize(tiny_backbone(name, **config), seed)
    for weight in backbone.weights:
        if weight.shape[:1] == (tokenizer.vocabulary_size(),):
            # Drawn for so many tokens, they would leave all equally likely.
            weight.assign(weight * 8.0)
    cls = task_class(name)
    images = {}
    if name == "PaliGemma":
        converter = keras_hub.layers.PaliGemmaImageConverter
        images["image_converter"] = converter(image_size=(16, 16))
    preprocessor = cls.preprocessor_cls(tokenizer, sequence_length=16, **images)
    return cls(backbone=backbone, preprocessor=preprocessor)

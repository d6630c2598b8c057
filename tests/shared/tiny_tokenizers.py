"""Tokenizers that are trained in milliseconds, and texts for them."""

import json

import keras_hub
import tokenizers
from tiny_models import tokenizer_proto
from tiny_pieces import CORPUS
from tiny_pieces import trained

TEXTS = [
    "the quick brown fox",
    "  two  spaces,   three   and a tail  ",
    "def forget(model):\n\n\n    return 12 + 345",
    "a\nb\n\nc",
    "Fuchs und Füchse, naïve 东京 🦊",
    "",
    "x",
    "<start_of_turn>user\nhello<end_of_turn>\n",
]
MODELS = keras_hub.models
# As Llama's SentencePiece models are made.
LLAMA_PIECES = dict(
    add_dummy_prefix=True,
    pad_id=-1,
    unk_id=0,
    bos_id=1,
    eos_id=2,
    bos_piece="<s>",
    eos_piece="</s>",
)


def gemma() -> keras_hub.tokenizers.Tokenizer:
    return MODELS.Gemma3Tokenizer(proto=trained(), has_vision_tokens=False)


def llama() -> keras_hub.tokenizers.Tokenizer:
    proto = trained(**LLAMA_PIECES, user_defined_symbols=[])
    return MODELS.LlamaTokenizer(proto=proto)


def normalized() -> keras_hub.tokenizers.Tokenizer:
    """No byte fallback, NFKC, spaces squeezed: SentencePiece's defaults."""
    return MODELS.GemmaTokenizer(proto=tokenizer_proto())


def learned(corpus):
    """A byte-level vocabulary and its merges."""
    learner = tokenizers.ByteLevelBPETokenizer()
    learner.train_from_iterator(corpus, vocab_size=330, min_frequency=2)
    model = json.loads(learner.to_str())["model"]
    merges = [" ".join(pair) for pair in model["merges"]]
    return model["vocab"], merges


def byte_pairs(family, vocabulary=None, merges=None):
    """A byte-level tokenizer of a family with its special tokens."""
    if vocabulary is None:
        vocabulary, merges = learned(CORPUS)
    specials = {
        "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
        "qwen2": ["<|endoftext|>"],
        "gpt2": ["<|endoftext|>"],
    }[family]
    if family == "llama3":
        specials += ["<|start_header_id|>", "<|end_header_id|>"]
    vocabulary = dict(vocabulary)
    for token in specials:
        vocabulary[token] = len(vocabulary)
    cls = {
        "llama3": MODELS.Llama3Tokenizer,
        "qwen2": MODELS.QwenTokenizer,
        "gpt2": MODELS.GPT2Tokenizer,
    }[family]
    return cls(vocabulary=vocabulary, merges=merges)

"""SentencePiece tokenizers that are trained in a blink, and texts for them."""

import io

import keras_hub
import sentencepiece
from tiny_models import tokenizer_proto

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "def forget(model):\n    return model  # 12 + 345",
    "bonjour le monde, hello world. der schnelle braune Fuchs",
] * 3
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


def trained(**overrides) -> bytes:
    """A SentencePiece model, Gemma's but for the overrides."""
    out = io.BytesIO()
    settings = dict(
        sentence_iterator=iter(CORPUS),
        model_writer=out,
        vocab_size=420,
        hard_vocab_limit=False,
        model_type="BPE",
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        user_defined_symbols=[
            "<start_of_turn>",
            "<end_of_turn>",
            *("\N{LOWER ONE EIGHTH BLOCK}" * n for n in range(2, 6)),
            *("\n" * n for n in range(1, 4)),
        ],
        minloglevel=2,
    )
    sentencepiece.SentencePieceTrainer.train(**{**settings, **overrides})
    return out.getvalue()


def gemma() -> keras_hub.tokenizers.Tokenizer:
    return MODELS.Gemma3Tokenizer(proto=trained(), has_vision_tokens=False)


def llama() -> keras_hub.tokenizers.Tokenizer:
    proto = trained(
        add_dummy_prefix=True,
        pad_id=-1,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        bos_piece="<s>",
        eos_piece="</s>",
        user_defined_symbols=[],
    )
    return MODELS.LlamaTokenizer(proto=proto)


def normalised() -> keras_hub.tokenizers.Tokenizer:
    """No byte fallback, NFKC, spaces squeezed: SentencePiece's defaults."""
    return MODELS.GemmaTokenizer(proto=tokenizer_proto())

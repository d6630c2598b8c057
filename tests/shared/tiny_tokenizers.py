"""SentencePiece tokenizers that are trained in a blink, and texts for them."""

import keras_hub
from tiny_models import tokenizer_proto
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

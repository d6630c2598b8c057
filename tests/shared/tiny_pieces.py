"""SentencePiece models that are trained in milliseconds."""

import io

import sentencepiece

CORPUS = [
    "the quick brown fox jumps over the lazy dog",
    "def forget(model):\n    return model  # 12 + 345",
    "bonjour le monde, hello world. der schnelle braune Fuchs",
] * 3


def trained(**overrides) -> bytes:
    """A SentencePiece model with the settings of Gemma, except `overrides`."""
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

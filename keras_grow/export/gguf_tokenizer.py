"""A KerasHub tokenizer as the keys of a GGUF file."""

import re
from typing import Any

from keras_grow.export.tokenizer_files import is_sentencepiece
from keras_grow.export.tokenizer_files import start_token
from keras_grow.export.tokenizer_files import token_ids
from keras_grow.export.tokenizer_json import merges_of
from keras_grow.export.tokenizer_json import parse_sentencepiece
from keras_grow.export.tokenizer_json import special_tokens

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# SentencePiece's types of pieces and llama.cpp's have the same numbers.
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
# Control tokens in Gemma's published files: their text is hidden.
_MARKS = re.compile(r"<(unused\d+|mask|img|(start|end)_of_\w+)>|\[\w+\]")
# llama.cpp's name for the pattern by which text is split.
_PRE = {"llama3": "llama-bpe", "qwen2": "qwen2", "gpt2": "gpt-2"}


def tokenizer_keys(
    preprocessor: Any,
    rows: int,
    split: str,
    chat_template: str | None = None,
) -> dict[str, Any]:
    """Return the `tokenizer` keys of a GGUF file.

    Tokens are padded to the `rows` of the embedding.
    """
    tokenizer = preprocessor.tokenizer
    if is_sentencepiece(tokenizer):
        keys = _sentencepiece(tokenizer.proto)
    else:
        keys = _byte_pairs(tokenizer, split)
    for index in range(len(keys["ggml.tokens"]), rows):
        keys["ggml.tokens"].append(f"[PAD{index}]")
        keys["ggml.token_type"].append(_UNUSED)
        if "ggml.scores" in keys:
            keys["ggml.scores"].append(-10000.0)
    ids = token_ids(preprocessor, chat=chat_template is not None)
    end = ids["eos_token_id"]
    if isinstance(end, list):
        # The end of a text and that of a turn each have a key.
        keys["ggml.eot_token_id"] = end[1]
        end = end[0]
    for name, value in (
        ("bos", ids["bos_token_id"]),
        ("eos", end),
        ("padding", ids["pad_token_id"]),
    ):
        if value is not None:
            keys[f"ggml.{name}_token_id"] = value
    keys["ggml.add_bos_token"] = start_token(preprocessor) is not None
    keys["ggml.add_eos_token"] = False
    if chat_template is not None:
        keys["chat_template"] = chat_template
    return {f"tokenizer.{key}": value for key, value in keys.items()}


def _sentencepiece(proto: bytes) -> dict[str, Any]:
    model = parse_sentencepiece(proto)
    tokens, scores, types = [], [], []
    unknown = 0
    for index, piece in enumerate(model.pieces):
        token, kind, score = piece.piece, int(piece.type), float(piece.score)
        if kind == _USER_DEFINED:
            # llama.cpp looks for these in the raw text.
            token = token.replace(_SPACE, " ")
            kind = _CONTROL if _MARKS.fullmatch(token) else kind
        if kind in (_CONTROL, _USER_DEFINED):
            score = -1000.0
        if kind == model.SentencePiece.UNKNOWN:
            unknown = index
        tokens.append(token)
        scores.append(score)
        types.append(kind)
    return {
        "ggml.model": "llama",
        "ggml.pre": "default",
        "ggml.tokens": tokens,
        "ggml.scores": scores,
        "ggml.token_type": types,
        "ggml.unknown_token_id": unknown,
        "ggml.add_space_prefix": bool(model.normalizer_spec.add_dummy_prefix),
    }


def _byte_pairs(tokenizer: Any, split: str) -> dict[str, Any]:
    special = set(special_tokens(tokenizer))
    by_id = {index: token for token, index in tokenizer.vocabulary.items()}
    tokens, types = [], []
    for index in range(max(by_id) + 1):
        token = by_id.get(index)
        if token is None:
            tokens.append(f"[PAD{index}]")
            types.append(_UNUSED)
            continue
        tokens.append(token)
        types.append(_CONTROL if token in special else _NORMAL)
    return {
        "ggml.model": "gpt2",
        "ggml.pre": _PRE[split],
        "ggml.tokens": tokens,
        "ggml.token_type": types,
        "ggml.merges": merges_of(tokenizer),
    }

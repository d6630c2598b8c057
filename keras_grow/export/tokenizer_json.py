"""KerasHub's tokenizers as a `tokenizer.json`, which `transformers` reads."""

from collections.abc import Iterable
from typing import Any

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 2, 3, 4, 5, 6

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The pattern by which each family's published tokenizer splits text before it
# merges pairs; None is the one built into the byte-level step.
SPLITS: dict[str, str | None] = {
    "llama3": _LLAMA3,
    "qwen2": _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"),
    "gpt2": None,
}


def sentencepiece_json(proto: bytes, start: str | None) -> dict[str, Any]:
    """Return a SentencePiece BPE model as a `tokenizer.json`.

    Merges are recovered from the pieces: SentencePiece merges the pair whose
    piece has the highest score, so a pair's rank is that of its piece. `start`
    is a token put before every text.
    """
    model = parse_sentencepiece(proto)
    if model.trainer_spec.model_type != model.trainer_spec.BPE:
        raise ValueError(
            "Expected a SentencePiece model of the type BPE, as all families "
            "that can be exported have. Received: model_type="
            f"{model.trainer_spec.model_type}"
        )
    vocabulary = {piece.piece: i for i, piece in enumerate(model.pieces)}
    added, scores, unknown = [], {}, None
    for index, piece in enumerate(model.pieces):
        if piece.type == _UNKNOWN:
            unknown = piece.piece
        if piece.type in (_UNKNOWN, _CONTROL):
            added.append(_added(index, piece.piece, special=True))
        elif piece.type == _USER_DEFINED:
            added.append(_added(index, piece.piece, special=False))
        elif piece.type not in (_BYTE, _UNUSED):
            scores[piece.piece] = piece.score
    normalizer = model.normalizer_spec
    prefix = normalizer.add_dummy_prefix
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": _normalizer(normalizer),
        "pre_tokenizer": None,
        "post_processor": _start(vocabulary, start),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                _replace(_SPACE, " "),
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *(
                    [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
                    if prefix
                    else []
                ),
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": bool(model.trainer_spec.byte_fallback),
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": _merges(scores, vocabulary),
        },
    }


def byte_pair_json(
    tokenizer: Any, split: str, start: str | None
) -> dict[str, Any]:
    """Return a KerasHub `BytePairTokenizer` as a `tokenizer.json`.

    Text is split as in the published tokenizer of the family. KerasHub's own
    differs in places: it keeps runs of digits and of punctuation whole that
    Llama 3 and Qwen saw in pieces during training. `start` is a token put
    before every text.
    """
    vocabulary = dict(tokenizer.vocabulary)
    special = special_tokens(tokenizer)
    pattern = getattr(tokenizer, "split_pattern", None) or SPLITS[split]
    byte_level = {
        "type": "ByteLevel",
        "add_prefix_space": bool(tokenizer.add_prefix_space),
        "trim_offsets": True,
        "use_regex": pattern is None,
    }
    steps = [byte_level]
    if pattern is not None:
        steps.insert(
            0,
            {
                "type": "Split",
                "pattern": {"Regex": pattern},
                "behavior": "Isolated",
                "invert": False,
            },
        )
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(vocabulary[token], token, special=True) for token in special
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": _start(vocabulary, start),
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges_of(tokenizer),
        },
    }


def parse_sentencepiece(proto: bytes) -> Any:
    """The parsed SentencePiece model."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(proto)
    return model


def special_tokens(tokenizer: Any) -> list[str]:
    """Tokens within which a byte-pair tokenizer never splits text."""
    tokens = {*tokenizer.special_tokens, *(tokenizer.unsplittable_tokens or ())}
    known = [token for token in tokens if token in tokenizer.vocabulary]
    return sorted(known, key=tokenizer.vocabulary.__getitem__)


def merges_of(tokenizer: Any) -> list[str]:
    """The merges of a byte-pair tokenizer, without the version line."""
    return [line for line in tokenizer.merges if "#version:" not in line]


def _merges(
    scores: dict[str, float], vocabulary: dict[str, int]
) -> list[list[str]]:
    """Every way to make a piece from two others, the best score first."""
    found = []
    for piece, score in scores.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in scores and right in scores:
                rank = (-score, vocabulary[piece])
                found.append(
                    (rank, vocabulary[left], vocabulary[right], left, right)
                )
    found.sort()
    return [[left, right] for *_, left, right in found]


def _normalizer(spec: Any) -> dict[str, Any]:
    """What SentencePiece does to a text before it looks for pieces."""
    steps: list[dict[str, Any]] = []
    if spec.precompiled_charsmap:
        import base64

        chars = base64.b64encode(spec.precompiled_charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": chars})
    if spec.remove_extra_whitespaces:
        steps.append({"type": "Strip", "strip_left": True, "strip_right": True})
        steps.append(
            {
                "type": "Replace",
                "pattern": {"Regex": " {2,}"},
                "content": " ",
            }
        )
    if spec.add_dummy_prefix:
        steps.append({"type": "Prepend", "prepend": _SPACE})
    steps.append(_replace(" ", _SPACE))
    return {"type": "Sequence", "normalizers": steps}


def _replace(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def _added(index: int, token: str, special: bool) -> dict[str, Any]:
    return {
        "id": index,
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        # SentencePiece looks for its symbols after it has replaced spaces;
        # control tokens are outside of the text.
        "normalized": not special,
        "special": special,
    }


def _start(
    vocabulary: dict[str, int], token: str | None
) -> dict[str, Any] | None:
    """Put a token before every text."""
    if token is None:
        return None
    piece = {"SpecialToken": {"id": token, "type_id": 0}}
    text: Iterable[str] = ("A", "B")
    first, second = (
        {"Sequence": {"id": name, "type_id": kind}}
        for kind, name in enumerate(text)
    )
    return {
        "type": "TemplateProcessing",
        "single": [piece, first],
        "pair": [piece, first, piece, second],
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary[token]], "tokens": [token]}
        },
    }

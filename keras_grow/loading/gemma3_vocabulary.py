"""Gemma's SentencePiece model, rebuilt from the lists in a GGUF file.

llama.cpp's converter changes three things in a GGUF file, which are undone
here. The unknown piece becomes a control piece. So does everything that Hugging
Face calls special, such as the turn markers of chats, which Gemma's own
tokenizer matches in plain text. And pieces that are runs of spaces are written
with spaces instead of SentencePiece's U+2581. Some published files mark the
markers of turns and images as ordinary text; here they are always whole tokens.
"""

import re
import warnings
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_grow.files.checked_json import show
from keras_grow.loading.gemma3_layout import same

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")
_BYTES = 256
_PREFIX = "tokenizer.ggml."
# What Gemma 3's own tokenizer reads as one token wherever it occurs.
_MARKERS = (
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
)


def sentencepiece_proto(metadata: Mapping[str, Any]) -> bytes:
    """Return the serialized SentencePiece model of a Gemma 3 GGUF.

    It is a BPE model with byte fallback, for `Gemma3Tokenizer(proto=...)`.
    Gemma's control tokens are whole tokens in it; one warning names those to
    which the file gives another type.
    """
    from sentencepiece import sentencepiece_model_pb2

    pieces, scores, types = _lists(metadata)
    unknown = _index(metadata, "unknown_token_id", "<unk>", pieces)
    beginning = _index(metadata, "bos_token_id", "<bos>", pieces)
    padding = _index(metadata, "padding_token_id", "<pad>", pieces)
    # Chat models name <end_of_turn> as their end token; the piece counts.
    end = _find(pieces, "<eos>")
    _find(pieces, "<end_of_turn>")

    markers = {pieces.index(piece) for piece in _MARKERS if piece in pieces}
    special = {unknown, beginning, padding, end}
    add_prefix = metadata.get(_PREFIX + "add_space_prefix", True)
    if not isinstance(add_prefix, bool):
        raise _unfit("add_space_prefix to be true or false", show(add_prefix))
    _tell_other_types(pieces, types, special | markers)

    proto = sentencepiece_model_pb2.ModelProto()
    add = proto.pieces.add
    for index, (piece, score, kind) in enumerate(
        zip(pieces, scores.tolist(), types.tolist(), strict=True)
    ):
        if index == unknown:
            kind = _UNKNOWN
        elif index in (beginning, padding, end):
            kind = _CONTROL
        elif kind == _CONTROL or index in markers:
            kind = _USER_DEFINED
        add(piece=piece, score=score, type=kind)

    trainer = proto.trainer_spec
    trainer.model_type = trainer.BPE
    trainer.vocab_size = len(pieces)
    trainer.byte_fallback = bool(np.any(types == _BYTE))
    trainer.unk_id, trainer.unk_piece = unknown, pieces[unknown]
    trainer.bos_id, trainer.bos_piece = beginning, pieces[beginning]
    trainer.eos_id, trainer.eos_piece = end, pieces[end]
    trainer.pad_id, trainer.pad_piece = padding, pieces[padding]
    proto.normalizer_spec.name = "identity"
    for spec in (proto.normalizer_spec, proto.denormalizer_spec):
        spec.add_dummy_prefix = add_prefix
        spec.remove_extra_whitespaces = False
        spec.escape_whitespaces = True
    return bytes(proto.SerializeToString())


def tokens_of(metadata: Mapping[str, Any]) -> list[str]:
    """The tokens of the vocabulary."""
    pieces = metadata.get(_PREFIX + "tokens")
    if not isinstance(pieces, list) or not pieces:
        raise _unfit("tokens to be a list of strings", type(pieces).__name__)
    return pieces


def _tell_other_types(
    pieces: Sequence[str], types: np.ndarray[Any, Any], special: set[int]
) -> None:
    """Warn of special pieces that the file marks as ordinary text."""
    whole = (_UNKNOWN, _CONTROL, _USER_DEFINED)
    other = [i for i in sorted(special) if types[i] not in whole]
    if other:
        warnings.warn(
            "The GGUF file does not mark these control tokens of Gemma 3 as "
            "such; they are read as whole tokens anyway: "
            + ", ".join(f"{pieces[i]} (type {types[i]})" for i in other)
            + ".",
            stacklevel=4,
        )


def _lists(
    metadata: Mapping[str, Any],
) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The three lists, checked for what SentencePiece cannot read."""
    model = metadata.get(_PREFIX + "model")
    if not same(model, "llama"):
        raise _unfit("model to be 'llama' (SentencePiece)", show(model))
    pieces = tokens_of(metadata)
    scores = metadata.get(_PREFIX + "scores")
    types = metadata.get(_PREFIX + "token_type")
    if not isinstance(scores, np.ndarray) or len(scores) != len(pieces):
        raise _unfit("scores to be a number for each token", _length(scores))
    if not isinstance(types, np.ndarray) or len(types) != len(pieces):
        raise _unfit("token_type to be a number for each token", _length(types))
    if not np.all(np.isfinite(scores)):
        raise _unfit("scores to be finite", "nan or inf among them")
    if not np.all((types >= _NORMAL) & (types <= _BYTE)):
        raise _unfit(
            "token_type to be 1 to 6", f"{types.min()} to {types.max()}"
        )
    types = types.astype(np.int64)
    pieces = [
        piece.replace(" ", _SPACE) if kind == _USER_DEFINED else piece
        for piece, kind in zip(pieces, types.tolist(), strict=True)
    ]
    if len(set(pieces)) != len(pieces):
        raise _unfit("tokens to differ from each other", "a token twice")
    if any(not piece or "\0" in piece for piece in pieces):
        raise _unfit("tokens to be text", "an empty token, or a null in one")
    byte_pieces = [pieces[index] for index in np.flatnonzero(types == _BYTE)]
    if len(byte_pieces) not in (0, _BYTES) or not all(
        map(_BYTE_PIECE.fullmatch, byte_pieces)
    ):
        raise _unfit(
            f"no byte tokens or all {_BYTES}, <0x00> to <0xFF>",
            f"{len(byte_pieces)}, such as {byte_pieces[:3]}",
        )
    return pieces, scores, types


def _index(
    metadata: Mapping[str, Any], key: str, piece: str, pieces: Sequence[str]
) -> int:
    """The index of a special piece, checked against the metadata."""
    index = _find(pieces, piece)
    claimed = metadata.get(_PREFIX + key, index)
    if not same(claimed, index):
        raise _unfit(f"{key} to be {index}, where {piece} is", show(claimed))
    return index


def _find(pieces: Sequence[str], piece: str) -> int:
    try:
        return pieces.index(piece)
    except ValueError:
        raise _unfit(
            f"tokens to have Gemma's {piece}",
            f"{len(pieces)} tokens without it",
        ) from None


def _length(value: object) -> str:
    if isinstance(value, (list, np.ndarray)):
        return f"{len(value)} entries"
    return type(value).__name__


def _unfit(expected: str, received: str) -> ValueError:
    return ValueError(
        f"Expected the GGUF key {_PREFIX}{expected}. Received: {received}. "
        "The file's vocabulary is not that of a Gemma 3."
    )

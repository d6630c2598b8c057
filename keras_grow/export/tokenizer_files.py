"""The tokenizer files and token ids of an exported model."""

import json
from pathlib import Path
from typing import Any

import keras_hub

from keras_grow.export.tokenizer_json import byte_pair_json
from keras_grow.export.tokenizer_json import sentencepiece_json
from keras_grow.tasks.control_tokens import TURN_ENDS
from keras_grow.tasks.control_tokens import control_tokens


def write_tokenizer(
    preprocessor: Any,
    folder: Path,
    split: str,
    max_positions: int,
    chat_template: str | None = None,
) -> None:
    """Write the files that `AutoTokenizer.from_pretrained` reads.

    It gives the same ids as KerasHub's tokenizer, except for the names of
    control tokens in a text, such as `<bos>`: it finds the token, where
    SentencePiece finds letters. For byte pairs see `byte_pair_json`.
    """
    tokenizer = preprocessor.tokenizer
    start = start_token(preprocessor)
    if is_sentencepiece(tokenizer):
        content = sentencepiece_json(tokenizer.proto, start)
        (folder / "tokenizer.model").write_bytes(tokenizer.proto)
    elif isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer):
        content = byte_pair_json(tokenizer, split, start)
    else:
        raise ValueError(
            "Expected a SentencePiece or byte-pair tokenizer. Received: "
            f"{type(tokenizer).__name__}"
        )
    unknown = content["model"]["unk_token"]
    config = {
        # The pipeline comes from the file; `transformers` builds none.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": getattr(tokenizer, "start_token", None),
        "eos_token": getattr(tokenizer, "end_token", None),
        "unk_token": unknown,
        "pad_token": getattr(tokenizer, "pad_token", None),
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_positions,
    }
    if chat_template is not None:
        config["chat_template"] = chat_template
        (folder / "chat_template.jinja").write_text(
            chat_template, encoding="utf-8"
        )
    _write_json(folder / "tokenizer.json", content)
    _write_json(folder / "tokenizer_config.json", config)


def token_ids(preprocessor: Any, chat: bool = False) -> dict[str, Any]:
    """The ids of the special tokens, as a `config.json` names them.

    With `chat` the end of a turn also ends a text.
    """
    if preprocessor is None:
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    tokenizer = preprocessor.tokenizer
    ends = [
        getattr(tokenizer, name, None)
        for name in ("end_token_id", "end_token2_id")
    ]
    if chat:
        ends += control_tokens(tokenizer, TURN_ENDS).values()
    known = list(dict.fromkeys(int(end) for end in ends if end is not None))
    pad = None
    if getattr(tokenizer, "pad_token", None) is not None:
        pad = int(tokenizer.pad_token_id)
    start = getattr(tokenizer, "start_token_id", None)
    return {
        "bos_token_id": None if start is None else int(start),
        "eos_token_id": known[0] if len(known) == 1 else known or None,
        "pad_token_id": pad,
    }


def start_token(preprocessor: Any) -> str | None:
    """The token that the preprocessor puts before every text, if any."""
    if not getattr(preprocessor, "add_start_token", False):
        return None
    token: str | None = getattr(preprocessor.tokenizer, "start_token", None)
    return token


def is_sentencepiece(tokenizer: Any) -> bool:
    """Whether the tokenizer is SentencePiece's."""
    return isinstance(tokenizer, keras_hub.tokenizers.SentencePieceTokenizer)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")

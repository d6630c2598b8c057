"""The token that a text begins with, where a tokenizer has one."""

from typing import Any


def start_token(tokenizer: Any) -> int:
    """The token that replaces an empty context.

    The start token, or the end token of a tokenizer that has no start token,
    such as Qwen's, as in lm-evaluation-harness.
    """
    start = getattr(tokenizer, "start_token_id", None)
    return int(tokenizer.end_token_id if start is None else start)


def adds_start_token(preprocessor: Any, tokenizer: Any) -> bool:
    """Whether a preprocessor puts a start token before every text.

    Without one, whether the tokenizer has such a token.
    """
    known = getattr(tokenizer, "start_token_id", None) is not None
    return known and bool(getattr(preprocessor, "add_start_token", True))

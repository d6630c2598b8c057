"""The tokens that mark the turns of chats, of every family."""

from typing import Any

# Gemma 1 to 3, Gemma 4, Llama 3, ChatML, Phi 3.
TURN_ENDS = (
    "<end_of_turn>",
    "<turn|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
)
CONTROL_TOKENS = (
    *TURN_ENDS,
    "<start_of_turn>",
    "<|turn>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|im_start|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
)


def control_tokens(
    tokenizer: Any, names: tuple[str, ...] = CONTROL_TOKENS
) -> dict[str, int]:
    """Ids, by text, of the control tokens that a vocabulary has.

    A tokenizer may have a token and still split its text into letters, as
    KerasHub's Qwen tokenizer does with `<|im_end|>`.
    """
    found = {}
    for name in names:
        try:
            token = int(tokenizer.token_to_id(name))
            # A text that is not in the vocabulary may get the unknown token's
            # id.
            known = tokenizer.id_to_token(token) == name
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
        if known:
            found[name] = token
    return found

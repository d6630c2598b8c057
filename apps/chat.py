"""Chats: the template of a model's family."""

from collections.abc import Sequence
from typing import Any

from .answers import Question

# By the beginning of a class' name, the longer first.
_TEMPLATES = {
    "SmolLM3": "smollm3",
    "Gemma": "gemma",
    "Llama3": "llama3",
    "Mistral": "mistral",
    "Qwen3": "qwen3",
    "Qwen": "qwen2.5",
}


def prompt(
    lm: Any, question: Question, turns: Sequence[tuple[str, str]]
) -> str:
    """The text of a chat up to where its next answer begins."""
    from keras_grow.tasks import ChatTemplate

    name = type(lm).__name__.removeprefix("Grown")
    found = [own for start, own in _TEMPLATES.items() if name.startswith(start)]
    if not found:
        raise ValueError(
            f"No chat template is known for {name}. Switch chat off; the "
            "model continues your text as it stands."
        )
    template = ChatTemplate.of(found[0])
    messages = [{"role": "system", "content": question.system}]
    for said, answered in turns:
        messages.append({"role": "user", "content": said})
        messages.append({"role": "assistant", "content": answered})
    messages.append({"role": "user", "content": question.prompt})
    text = template.render(
        messages if question.system.strip() else messages[1:],
        add_generation_prompt=True,
    )
    return text.removeprefix(template.bos_token)

"""The `Modelfile` with which Ollama runs an exported GGUF file."""

import re

from keras_grow.tasks.chat_template import ChatTemplate

_PROMPT, _SYSTEM, _ANSWER = "{{ .Prompt }}", "{{ .System }}", "{{ .Response }}"
_TAG = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")


def modelfile(name: str, chat: ChatTemplate | None = None) -> str:
    """Return a `Modelfile` for the GGUF file `name` beside it.

    Ollama does not run the Jinja of a GGUF file. It recognizes some published
    templates by their text, and with any other template passes bare prompts to
    the model. So the chat template is written in Ollama's own template
    language. Without one, the model continues texts.
    """
    lines = [f"FROM ./{name}"]
    if chat is not None:
        text = plain = _turn(chat, system=False)
        try:
            text = f"{{{{ if .System }}}}{_turn(chat, system=True)}"
            text += f"{{{{ else }}}}{plain}{{{{ end }}}}"
        except ValueError:
            # The family has no system turn, and its template refuses one.
            text = plain
        lines.append(f'TEMPLATE """{text}"""')
        end = chat.turns(_messages(system=False))[-1].end.strip()
        if end:
            lines.append(f'PARAMETER stop "{end}"')
    return "\n".join(lines) + "\n"


def without_generation_tags(source: str) -> str:
    """A template for engines that have no `generation` tags.

    Each becomes an `if` that is always true, so that white space around it
    is treated as before.
    """
    return _TAG.sub(
        lambda tag: (
            f"{tag[1]}endif{tag[3]}" if tag[2] else f"{tag[1]}if true{tag[3]}"
        ),
        source,
    )


def _turn(chat: ChatTemplate, system: bool) -> str:
    """A question and its answer; Ollama adds the start token itself."""
    text = chat.render(_messages(system))
    return text.removeprefix(chat.bos_token)


def _messages(system: bool) -> list[dict[str, str]]:
    first = [{"role": "system", "content": _SYSTEM}] if system else []
    return [
        *first,
        {"role": "user", "content": _PROMPT},
        {"role": "assistant", "content": _ANSWER},
    ]

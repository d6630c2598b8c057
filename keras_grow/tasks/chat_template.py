"""Chats as text: a model's Jinja template, and which text is an answer."""

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_grow.tasks.chat_sandbox import BEGIN
from keras_grow.tasks.chat_sandbox import END
from keras_grow.tasks.chat_sandbox import compiled
from keras_grow.tasks.chat_templates import TEMPLATES
from keras_grow.tasks.example import Turn

_PROBE = "\U0010fffd\ue002"

Message = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class ChatTemplate:
    r"""A chat template in Jinja, as models are published with.

    It runs in a sandbox like that of transformers, with the same names:
    `messages`, `add_generation_prompt`, `bos_token`, `eos_token`,
    `raise_exception`, `strftime_now`, the filter `tojson`, and the tags `{%
    generation %}` and `{% endgeneration %}` around what an assistant writes. A
    template without these tags is rendered turn by turn to find the answers.
    That works if the text of a chat begins with the text of its first turns.

    Args:
        source: the template.
        bos_token: the start token's text. It is left out of training rows,
            which begin with the tokenizer's start token. Defaults to `""`.
        eos_token: the end token's text. Defaults to `""`.

    Raises:
        ValueError: if `source` is not valid Jinja.
        ImportError: if jinja2 is not installed.

    Example:
    ```python
    from keras_grow.tasks import ChatTemplate

    template = ChatTemplate(
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    template.render([{"role": "user", "content": "Hello"}])
    ```
    """

    source: str
    bos_token: str = ""
    eos_token: str = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str):
                raise TypeError(
                    f"Expected `{field.name}` to be text. "
                    f"Received: {field.name}={value!r}"
                )
        compiled(self.source)

    @classmethod
    def of(cls, template: "str | ChatTemplate") -> "ChatTemplate":
        """A template by its name or source.

        Args:
            template: a template; one of `"gemma"`, `"llama3"`, `"llama3.1"`,
                `"chatml"`, `"qwen2.5"`, `"qwen3"`, `"smollm2"`, `"smollm3"`
                and `"mistral"`; or the source of one, which contains `{`.

        Returns:
            The template.

        Raises:
            ValueError: if there is none of that name, or it is not valid Jinja.
        """
        if isinstance(template, ChatTemplate):
            return template
        if isinstance(template, str) and template in TEMPLATES:
            return cls(*TEMPLATES[template])
        if isinstance(template, str) and "{" in template:
            return cls(template)
        raise ValueError(
            f"Expected `template` to be one of {tuple(TEMPLATES)}, or the text "
            f"of a template in Jinja. Received: template={template!r}"
        )

    def render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = False,
        **variables: Any,
    ) -> str:
        """The text of a chat, as transformers' `apply_chat_template` makes it.

        Args:
            messages: the turns, each with a `role` and a `content`.
            add_generation_prompt: whether to end with the beginning of an
                answer. Defaults to `False`.
            **variables: further names that the template reads, such as
                `date_string` or `enable_thinking`.

        Returns:
            The text, start token included where the template writes it.

        Raises:
            ValueError: if the template refuses the messages.
        """
        marked = self._marked(messages, add_generation_prompt, variables)
        return marked.replace(BEGIN, "").replace(END, "")

    def turns(
        self, messages: Sequence[Message], **variables: Any
    ) -> tuple[Turn, ...]:
        """The text of a chat, cut around each answer, without the start token.

        Args:
            messages: the turns, an assistant's last.
            **variables: see `render`.

        Returns:
            One turn per answer. White space after the end of the last one is
            left out, because nothing follows.

        Raises:
            ValueError: if the template refuses the messages, or does not show
                which text is an answer.
        """
        marked = self._marked(messages, False, variables)
        text = marked.replace(BEGIN, "").replace(END, "")
        answers = [m for m in messages if m["role"] == "assistant"]
        if BEGIN in marked:
            spans = _marked_spans(marked)
        else:
            spans = self._prefix_spans(messages, text, variables)
        if len(spans) != len(answers):
            raise ValueError(
                f"Expected the template to write {len(answers)} answers. "
                f"Received: {len(spans)}. Put its generation tags around each."
            )
        found = []
        tail = self._tail(messages, variables)
        begin = len(self.bos_token) if text.startswith(self.bos_token) else 0
        for start, stop in spans:
            # If there is only white space, that ends the answer. Some
            # templates end the last answer alone.
            end = ""
            if tail and text[start:stop].endswith(tail):
                stop -= len(tail)
                end = tail.rstrip() or tail
            found.append(Turn(text[begin:start], text[start:stop], end))
            begin = stop + len(end)
        return tuple(found)

    def _tail(
        self, messages: Sequence[Message], variables: Mapping[str, Any]
    ) -> str:
        """What the template writes after the last answer."""
        probe = [*messages[:-1], {"role": "assistant", "content": _PROBE}]
        marked = self._marked(probe, False, variables)
        return marked.rpartition(_PROBE)[2].partition(END)[0]

    def _marked(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool,
        variables: Mapping[str, Any],
    ) -> str:
        """The text with marks where generation tags are."""
        import jinja2

        if any(m in t["content"] for t in messages for m in (BEGIN, END)):
            raise ValueError(
                f"Expected none of the characters {BEGIN + END!r} in a chat, "
                "which mark the answers. Leave them out."
            )
        names = {
            "messages": [dict(message) for message in messages],
            "add_generation_prompt": add_generation_prompt,
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
            "tools": None,
            "documents": None,
            **variables,
        }
        try:
            return str(compiled(self.source).render(names))
        except jinja2.TemplateError as error:
            raise ValueError(
                f"Expected a chat that the template takes. It says: {error}"
            ) from error
        except (TypeError, LookupError, ArithmeticError) as error:
            raise ValueError(
                "Expected a template that renders a chat. It fails with "
                f"{type(error).__name__}: {error}"
            ) from error

    def _prefix_spans(
        self,
        messages: Sequence[Message],
        text: str,
        variables: Mapping[str, Any],
    ) -> list[tuple[int, int]]:
        """Where each answer is, from the texts of the chat's first turns."""
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.render(messages[:index], True, **variables)
            through = self.render(messages[: index + 1], False, **variables)
            if not (text.startswith(through) and through.startswith(before)):
                raise ValueError(
                    "Expected a template whose text of a chat begins with its "
                    "text of the chat's first turns, to tell answers from the "
                    f"rest; it does not at turn {index + 1}. Put "
                    "{% generation %} and {% endgeneration %} around what the "
                    "template writes for an assistant."
                )
            spans.append((len(before), len(through)))
        return spans


def _marked_spans(marked: str) -> list[tuple[int, int]]:
    """Where the marks of each answer were, in the text without marks."""
    spans = []
    length = 0
    outside, *inside = marked.split(BEGIN)
    length = len(outside)
    for part in inside:
        answer, _, rest = part.partition(END)
        spans.append((length, length + len(answer)))
        length += len(answer) + len(rest)
    return spans

"""The sandbox in which chat templates run, as in transformers."""

import datetime
import functools
import json
from collections.abc import Callable
from typing import Any
from typing import NoReturn

# They mark where an answer begins and ends while a template is rendered.
BEGIN, END = "\U0010fffd\ue000", "\U0010fffd\ue001"


@functools.lru_cache(maxsize=32)
def compiled(source: str) -> Any:
    """A Jinja template, ready to be rendered in transformers' sandbox.

    It puts `BEGIN` and `END` where its tags `generation` and `endgeneration`
    are.
    """
    try:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise ImportError(
            "Expected the `jinja2` package, in which chat templates are "
            "written. Install it in a clone of keras_grow: "
            "`pip install '.[chat]'`."
        ) from error
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_generation_tag(), "jinja2.ext.loopcontrols"],
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    try:
        return environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(
            f"Expected a template in Jinja. Line {error.lineno}: "
            f"{error.message}. Received: template={_shortened(source)!r}"
        ) from error


@functools.cache
def _generation_tag() -> Any:
    """The extension that puts marks around what an assistant writes."""
    import jinja2
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(
                ("name:endgeneration",), drop_needle=True
            )
            call = self.call_method("_mark")
            return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

        def _mark(self, caller: Callable[[], str]) -> str:
            return f"{BEGIN}{caller()}{END}"

    return Generation


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter escapes it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> NoReturn:
    import jinja2

    raise jinja2.TemplateError(message)


def _now(format: str) -> str:
    return datetime.datetime.now().strftime(format)


def _shortened(source: str) -> str:
    return source if len(source) <= 80 else f"{source[:77]}..."

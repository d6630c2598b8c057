"""Command-line options made from a dataclass and its docstring."""

import argparse
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Collection
from typing import Any

_FIELD = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.M)


def add_options(
    parser: argparse.ArgumentParser,
    of: type,
    besides: Collection[str] = (),
) -> None:
    """Add an option for each field of a dataclass, except those in `besides`.

    Its name, type, choices and default are the field's; its help is what the
    class says about it under `Attributes:`.
    """
    said = field_docs(of)
    kinds = typing.get_type_hints(of)
    for field in dataclasses.fields(of):
        if field.name in besides:
            continue
        settings = _settings(kinds[field.name])
        if field.default is dataclasses.MISSING:
            settings["required"] = True
            default = ""
        else:
            settings["default"] = field.default
            default = _shown(field.default)
        text = said.get(field.name, "").rstrip(".").replace("`", "")
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            # As argparse reads it, `%` begins a name.
            help=(text + default).replace("%", "%%"),
            **settings,
        )


def field_docs(of: type) -> dict[str, str]:
    """What a class says about its fields under `Attributes:`, by name."""
    _, _, section = (inspect.getdoc(of) or "").partition("Attributes:\n")
    return {
        name: " ".join(text.split()) for name, text in _FIELD.findall(section)
    }


def _settings(kind: Any) -> dict[str, Any]:
    """The settings of argparse for a type."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        (kind,) = (part for part in arguments if part is not type(None))
        return _settings(kind)
    origin = typing.get_origin(kind)
    if origin is tuple:
        return {"nargs": "*", "type": arguments[0]}
    if origin is typing.Literal:
        return {"choices": arguments}
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": kind}


def _shown(default: Any) -> str:
    if default in (None, ()):
        return ""
    if isinstance(default, tuple):
        default = " ".join(f"{value:g}" for value in default)
    return f" (default: {default})"

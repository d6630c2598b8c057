"""The public names and signatures of the package, as text.

Rewrite the committed one with `python tests/shared/public_names.py`.
"""

import ast
import functools
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import keras_grow

PINNED = Path(__file__).parents[1] / "package/public_names.txt"


def public_names() -> str:
    """Every public name with its signature, module by module."""
    packages = [getattr(keras_grow, name) for name in keras_grow._PACKAGES]
    modules = [keras_grow, *packages]
    return "\n".join(
        line for module in modules for line in [*_module(module), ""]
    )


def _module(module: ModuleType) -> list[str]:
    lines = [module.__name__]
    for name in sorted(module.__all__):
        value = getattr(module, name)
        lines += [f"    {line}" for line in _describe(name, value)]
    return lines


def _describe(name: str, value: Any) -> list[str]:
    value = inspect.unwrap(value) if callable(value) else value
    if inspect.isclass(value):
        return _class(name, _definition(value))
    if inspect.isfunction(value):
        return [_function(_definition(value))]
    return [name]


def _class(name: str, node: ast.ClassDef) -> list[str]:
    lines = [f"class {name}({', '.join(map(ast.unparse, node.bases))})"]
    for member in node.body:
        if isinstance(member, ast.AnnAssign):
            lines.append(f"    {ast.unparse(member)}")
        elif isinstance(member, ast.FunctionDef) and (
            not member.name.startswith("_")
            or member.name in ("__init__", "__call__")
        ):
            marks = [f"@{ast.unparse(d)} " for d in member.decorator_list]
            lines.append(f"    {''.join(marks)}{_function(member)}")
    return lines


def _function(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def _definition(value: Any) -> Any:
    """The `class` or `def` of a value in its source."""
    tree = _tree(inspect.getsourcefile(value))
    return next(
        node
        for node in tree.body
        if getattr(node, "name", None) == value.__name__
    )


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text("utf-8"))


if __name__ == "__main__":
    PINNED.write_text(public_names(), "utf-8")
    sys.stdout.write(f"wrote {PINNED}\n")

"""Code that users copy imports only public names of the package."""

import ast
import re
from pathlib import Path

import pytest

import keras_grow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = [
    *sorted(EXAMPLES.glob("guides/[0-9]_*.py")),
    *(EXAMPLES / name for name in ("quickstart.py", "plain_mlp.py")),
    *(EXAMPLES / name for name in ("demo.py", "whole_sets.py")),
]
README = (ROOT / "README.md").read_text("utf-8")
SOURCES = {
    **{path.stem: path.read_text("utf-8") for path in SCRIPTS},
    "README": "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)),
}
# The demo is a command rather than a script to copy: it begins as quietly.
BESIDES = {"demo": {"keras_grow.quiet_start.quiet_start"}}
PACKAGES = "|".join(keras_grow._PACKAGES)
OF_A_PACKAGE = re.compile(rf"keras_grow\.(({PACKAGES})\.)?\w+")

pytestmark = pytest.mark.no_backend


def public():
    """The full names of the public modules and of their public names."""
    packages = {f"keras_grow.{n}": n for n in keras_grow._PACKAGES}
    modules = {name: getattr(keras_grow, n) for name, n in packages.items()}
    modules["keras_grow"] = keras_grow
    names = {f"{m}.{name}" for m, v in modules.items() for name in v.__all__}
    return names | modules.keys()


def used(source):
    """The full names that a script imports, or reads as `keras_grow.NAME`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and OF_A_PACKAGE.fullmatch(
            name := ast.unparse(node)
        ):
            yield name


@pytest.mark.parametrize("script", SOURCES)
def test_code_for_users_imports_only_public_names(script):
    own = {n for n in used(SOURCES[script]) if n.startswith("keras_grow")}
    assert own
    assert own - public() == BESIDES.get(script, set())

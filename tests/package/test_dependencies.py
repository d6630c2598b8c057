"""The package declares every package that it imports."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_backend

ROOT = Path(__file__).parents[2]


def imported():
    """The packages that the modules import, and where."""
    for folder in ("keras_grow", "apps"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        yield alias.name.partition(".")[0], path
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    yield node.module.partition(".")[0], path


def test_every_imported_package_is_declared():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
    ]
    declared = {
        re.match(r"[\w-]+", line)[0].lower().replace("_", "-")
        for lines in lists
        for line in lines
    }
    known = importlib.metadata.packages_distributions()
    for package, path in imported():
        if package in sys.stdlib_module_names or package == "keras_grow":
            continue
        names = {n.lower().replace("_", "-") for n in known[package]}
        assert names & declared, f"{path} imports {package}"


def test_the_version_is_written_once():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    read = tomllib.loads(text)
    assert "version" in read["project"]["dynamic"]
    attribute = read["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    module, _, name = attribute.rpartition(".")
    assert module == "keras_grow.version"
    version = getattr(importlib.import_module(module), name)
    wanted = re.compile(rf"__version__ = .{re.escape(version)}.")
    found = [
        path
        for path in [
            *(ROOT / "keras_grow").rglob("*.py"),
            ROOT / "pyproject.toml",
        ]
        if wanted.search(path.read_text("utf-8"))
    ]
    assert found == [ROOT / "keras_grow" / "version.py"]

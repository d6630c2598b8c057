"""Imports have no cycles, and a file fits on a few screens."""

import ast
import graphlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.no_backend

ROOT = Path(__file__).parents[2]
# The app lies in a folder of its own and installs as `keras_grow.app`.
FOLDERS = {"keras_grow": "keras_grow", "apps": "keras_grow.app"}
LONGEST = 300
TYPES = "TYPE_CHECKING"


def modules():
    """Every module by its name."""
    found = {}
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join((package, *parts))
            found[name.removesuffix(".__init__")] = path
    return found


def imports(tree):
    """What a module imports when it runs, inside functions as well."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == TYPES:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = FOLDERS["apps"] if node.level else None
            origin = ".".join(filter(None, (above, node.module)))
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        yield from imports(node)


def edges(found):
    """The modules that each module imports."""
    graph = {name: set() for name in found}
    for name, path in found.items():
        for target in imports(ast.parse(path.read_text("utf-8"))):
            while target and target not in found:
                target = target.rpartition(".")[0]
            if target and target != name:
                graph[name].add(target)
    return graph


def test_no_module_and_no_folder_imports_in_a_circle():
    graph = edges(modules())
    assert len(graph) > 200
    assert sum(map(len, graph.values())) > 2 * len(graph)
    graphlib.TopologicalSorter(graph).prepare()
    folders = {}
    # `python -m keras_grow.app` is the command.
    for name, targets in graph.items():
        if name == "keras_grow.app.__main__":
            continue
        own = name.split(".")[:2]
        others = [target.split(".")[:2] for target in targets]
        folders.setdefault(".".join(own), set()).update(
            ".".join(other) for other in others if other not in (own, own[:1])
        )
    graphlib.TopologicalSorter(folders).prepare()


def test_no_file_is_longer_than_a_few_screens():
    lengths = {
        name: len(path.read_text("utf-8").splitlines())
        for name, path in modules().items()
    }
    assert {n: rows for n, rows in lengths.items() if rows > LONGEST} == {}


def test_no_module_is_named_as_something_that_its_folder_exports():
    """`package.name` would depend on the order of imports."""
    shadowed = []
    for name, path in modules().items():
        if path.name != "__init__.py":
            continue
        exported = {
            constant.value
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
            for constant in ast.walk(node.value)
            if isinstance(constant, ast.Constant)
        }
        beside = {other.stem for other in path.parent.glob("*.py")}
        shadowed += [f"{name}.{own}" for own in sorted(exported & beside)]
    assert not shadowed

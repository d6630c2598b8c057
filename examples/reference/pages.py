"""Build the reference: `make docs`, or `python examples/reference/pages.py`.

Writes into `build/docs` an index by topic (`topics.py`), pages of every public
name, from the docstrings, and of the guides and Markdown files that the index
links to. A warning of pdoc, or a dead link, is an error.
"""

import ast
import inspect
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from topics import TOPICS
from topics import Topic

from keras_grow.quiet_start import quiet_start

with quiet_start():
    import keras_hub  # noqa: F401

import markdown2
import pdoc
import pdoc.doc_ast

import keras_grow
from keras_grow import version
from keras_grow.command import parser
from keras_grow.comparison import kinds

EXAMPLES = Path(__file__).parents[1]
FOLDER = Path("build/docs")
GUIDES = "guides/README.md"
MODULES = [
    keras_grow,
    *(getattr(keras_grow, name) for name in keras_grow._PACKAGES),
]
# Public names that are neither classes nor functions have no docstring of
# their own; it is in the module that defines them.
CONSTANTS = {"KINDS": kinds, "__version__": version}
_HEAD = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }}
pre, code {{ background: #f3f3f3; }}
pre {{ overflow-x: auto; padding: .5rem; }}
table {{ border-collapse: collapse; }}
td, th {{ padding: .2rem 1rem .2rem 0; text-align: left;
  vertical-align: top; }}
</style>
"""


def main() -> None:
    """Build all pages."""
    warnings.filterwarnings("error", category=UserWarning, module="pdoc")
    shutil.rmtree(FOLDER, ignore_errors=True)
    order = [name for topic in TOPICS for name in topic.names]
    for module in MODULES:
        # The order of a page is that of `__all__`.
        module.__all__ = sorted(module.__all__, key=order.index)
        for name in module.__all__:
            getattr(module, name)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*(m.__name__ for m in MODULES), output_directory=FOLDER)
    for link in sorted(_links()):
        _write(f"examples/{link}", _markdown(EXAMPLES / link))
    _write("index.md", _index())
    dead = sorted(_dead_links())
    if dead:
        sys.exit("Expected links that resolve. Received: " + ", ".join(dead))
    print(FOLDER / "index.html")


def _links() -> set[str]:
    """All that becomes a page besides the modules."""
    return {GUIDES, *(link for topic in TOPICS for link in topic.links)}


def _index() -> str:
    modules = ", ".join(
        f"[{module.__name__}]({_page(module)})" for module in MODULES
    )
    pages = ", ".join(_link(link) for link in sorted(_links()) if ".md" in link)
    lines = [
        f"# keras_grow {keras_grow.__version__}",
        "",
        "Every public name, by topic, in the order in which you are likely to "
        f"need them. By module: {modules}.",
        "",
        f"Pages: {pages}.",
    ]
    for topic in TOPICS:
        lines += ["", *_section(topic)]
    return "\n".join(lines)


def _section(topic: Topic) -> Iterator[str]:
    yield f"## {topic.title}"
    yield ""
    yield from (f"- {_link(link)}" for link in topic.links)
    yield ""
    yield "| name | what it is |"
    yield "| --- | --- |"
    for name in topic.names:
        module = next(m for m in MODULES if name in m.__all__)
        link = f"{_page(module)}#{name}"
        yield f"| [`{name}`]({link}) | {_first_line(module, name)} |"
    if topic.commands:
        for action in parser()._subparsers._group_actions:
            for choice in action._choices_actions:
                yield f"| `keras-grow {choice.dest}` | {choice.help} |"


def _link(link: str) -> str:
    return f"[{_title(EXAMPLES / link)}](examples/{link})"


def _page(module: ModuleType) -> str:
    return module.__name__.replace(".", "/") + ".html"


def _first_line(module: ModuleType, name: str) -> str:
    if name in CONSTANTS:
        found = pdoc.doc_ast.walk_tree(CONSTANTS[name]).var_docstrings[name]
    else:
        found = inspect.getdoc(getattr(module, name))
    return found.splitlines()[0]


def _title(path: Path) -> str:
    """The heading of a Markdown file, or what a script says it is."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text))
        return said.splitlines()[0].rstrip(".")
    return text.splitlines()[0].removeprefix("# ")


def _markdown(path: Path) -> str:
    """A Markdown file, or a script: its cells of text and of code."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return text
    first, *cells = re.split(r"^# %%(.*)\n", text, flags=re.MULTILINE)
    if not cells:
        return f"# {_title(path)}\n\n{_code(first)}"
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return "\n\n".join(
        re.sub(r"^# ?", "", cell, flags=re.MULTILINE) if kind else _code(cell)
        for kind, cell in pairs
    )


def _code(text: str) -> str:
    return f"```python\n{text.strip()}\n```"


def _write(name: str, text: str) -> None:
    """Write a page of Markdown; links to Markdown and scripts are to pages."""
    text = re.sub(r"\]\(([^):]+)\.(md|py)\)", r"](\1.html)", text)
    path = (FOLDER / name).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    title = next(filter(None, text.splitlines())).removeprefix("# ")
    if name != "index.md":
        up = "../" * name.count("/")
        text = f"[Index]({up}index.html)\n\n{text}"
    extras = {"tables": None, "fenced-code-blocks": {"noclasses": True}}
    body = markdown2.markdown(text, extras=extras)
    path.write_text(_HEAD.format(title) + body, "utf-8")


def _dead_links() -> Iterator[str]:
    """Links of all pages to a file or an anchor that is not there."""
    pages = {
        path.resolve(): path.read_text("utf-8")
        for path in FOLDER.rglob("*.html")
    }
    anchors = {
        path: {*re.findall(r'\bid="([^"]+)"', text), ""}
        for path, text in pages.items()
    }
    for path, text in pages.items():
        text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
        for link in re.findall(r'<a [^>]*?href="([^"]+)"', text):
            if re.match(r"https?:|mailto:", link):
                continue
            name, _, anchor = link.partition("#")
            to = (path.parent / name).resolve() if name else path
            if anchor not in anchors.get(to, ()):
                yield f"{link} in {path.relative_to(FOLDER.resolve())}"


if __name__ == "__main__":
    main()

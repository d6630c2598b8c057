"""Build the reference: `make docs`, or `python examples/reference/pages.py`.

Writes pages of every public name, from the docstrings, and of the Markdown
files beside this one into `build/docs`. A warning of pdoc is an error.
"""

import shutil
import warnings
from pathlib import Path

from keras_grow.quiet_start import quiet_start

with quiet_start():
    import keras_hub  # noqa: F401

import markdown2
import pdoc

import keras_grow

FOLDER = Path("build/docs")
_HEAD = '<!doctype html><meta charset="utf-8"><title>{}</title>\n'


def main() -> None:
    """Build all pages."""
    warnings.filterwarnings("error", category=UserWarning, module="pdoc")
    shutil.rmtree(FOLDER, ignore_errors=True)
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(
        "keras_grow",
        *(f"keras_grow.{package}" for package in keras_grow._PACKAGES),
        output_directory=FOLDER,
    )
    index = ["# keras_grow", "- [Every public name](keras_grow.html)"]
    for page in sorted(Path(__file__).parent.glob("*.md")):
        text = page.read_text("utf-8").replace(".md)", ".html)")
        _write(page.stem, f"[Index](index.html)\n\n{text}")
        index.append(f"- [{text.splitlines()[0][2:]}]({page.stem}.html)")
    _write("index", "\n\n".join(index))
    print(FOLDER / "index.html")


def _write(name: str, text: str) -> None:
    body = markdown2.markdown(text, extras=["tables", "fenced-code-blocks"])
    path = FOLDER / f"{name}.html"
    path.write_text(_HEAD.format(name) + body, "utf-8")


if __name__ == "__main__":
    main()

"""The Python blocks of the README run, and its commands exist."""

import re
import shlex
from pathlib import Path

import pytest

import keras_grow
from keras_grow.command import parser

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "examples/guides/README.md",
    "examples/reference/errors.md",
    "examples/reference/families.md",
    "examples/reference/growth_file.md",
    "examples/results/README.md",
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.real("jax")
def test_the_python_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "french.grow.safetensors").exists()


@pytest.mark.no_backend
def test_the_shell_blocks_name_real_targets_and_options():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    seen = set()
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words[0] == "make":
                assert f"\n{words[1]}:" in makefile
            else:
                assert words[0] == "keras-grow"
                parser().parse_args(words[1:])
            seen.add(words[0])
    assert seen == {"make", "keras-grow"}


@pytest.mark.no_backend
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_exists(page):
    text = (ROOT / page).read_text("utf-8")
    for name in re.findall(r"`((?:examples|tests|keras_grow)/[\w./]+)`", text):
        assert (ROOT / name).exists(), name
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    for name in links:
        if not name.startswith("http"):
            assert ((ROOT / page).parent / name).exists(), name


@pytest.mark.no_backend
def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 150


@pytest.mark.no_backend
def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {keras_grow.__version__}\n" in text

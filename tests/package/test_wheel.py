"""What `pip install keras-grow` installs, and that it works."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, f"build_{sys.argv[1]}")(sys.argv[2])
"""
GROW = """
import keras_grow
import keras_hub

backbone = keras_hub.models.GemmaBackbone(
    vocabulary_size=8, num_layers=1, num_query_heads=1, num_key_value_heads=1,
    hidden_dim=4, intermediate_dim=8, head_dim=4,
)
lm = keras_hub.models.GemmaCausalLM(backbone)
keras_grow.grow_model(lm)
print(keras_grow.__file__)
print(sum(w.numpy().size for w in lm.trainable_variables))
"""

pytestmark = pytest.mark.no_backend


def run(*words, folder, **environment):
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**kept, "KERAS_BACKEND": "jax", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("build")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, checkout)
    skipped = shutil.ignore_patterns("__pycache__")
    for name in ("keras_grow", "apps", "tests/package"):
        shutil.copytree(ROOT / name, checkout / name, ignore=skipped)
    run(sys.executable, "-c", BUILD, "sdist", folder, folder=checkout)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        file.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    run(sys.executable, "-c", BUILD, "wheel", folder, folder=unpacked)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An empty environment with the wheel, and its dependencies on the path."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", folder)
    run(*pip, "install", "--no-index", "--no-deps", wheel, folder=folder)
    (site,) = folder.glob("lib/*/site-packages")
    # The `.pth` files there are not read, so no editable install comes along.
    needed = sysconfig.get_path("purelib")
    (site / "needed.pth").write_text(f"{needed}\n", "utf-8")
    return folder, site


def test_it_installs_one_package_with_the_app_and_its_files(environment):
    _, site = environment
    top = {path.name for path in site.iterdir()} - {"needed.pth"}
    assert {name.partition("-")[0] for name in top} == {"keras_grow"}
    assert len(top) == 2  # The package and what pip notes of it.
    files = {
        path.relative_to(site / "keras_grow").as_posix()
        for path in (site / "keras_grow").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {
        path.relative_to(ROOT).as_posix()
        for name in ("keras_grow", "apps")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files == {
        name.replace("apps/", "app/", 1).removeprefix("keras_grow/")
        for name in wanted
    }
    assert {"py.typed", "app/style.css", "app/page.js"} <= files
    assert {"app/passages.txt", "app/train_worker.py"} <= files
    app = (site / "keras_grow/app/__init__.py").read_text("utf-8")
    assert app == (ROOT / "apps/__init__.py").read_text("utf-8")


def test_the_command_and_the_app_start(environment):
    folder, _ = environment
    shown = run(folder / "bin" / "keras-grow", "--help", folder=folder)
    assert "{app,compare,dial,export,rank}" in shown
    python = folder / "bin" / "python"
    shown = run(python, "-m", "keras_grow.app", "--help", folder=folder)
    assert "RUN_OR_MODEL" in shown
    code = "from keras_grow.app import page; print(len(page.CSS) > 99)"
    assert run(python, "-c", code, folder=folder).strip() == "True"


def test_it_grows_a_model(environment):
    folder, site = environment
    shown = run(folder / "bin" / "python", "-c", GROW, folder=folder)
    found, trainable = shown.split()
    assert Path(found).is_relative_to(site)
    # Three kernels of 4 by 4: KerasHub's Gemma halves the width.
    assert trainable == "48"

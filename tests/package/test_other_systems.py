"""Every module can be imported without the modules that only Unix has."""

import subprocess
import sys

import pytest

UNIX_ONLY = ("fcntl", "resource", "termios", "pwd", "grp")
# Those that need an optional package import it at their top.
CODE = f"""
import importlib, pkgutil, sys
import filelock, gradio, keras_hub, lm_eval, matplotlib.pyplot
for name in {UNIX_ONLY}:
    sys.modules[name] = None
import keras_grow
found = pkgutil.walk_packages(keras_grow.__path__, "keras_grow.")
names = [module.name for module in found]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
from keras_grow.comparison.run import peak_bytes
print(len(names), peak_bytes())
"""


@pytest.mark.no_backend
def test_every_module_imports_without_the_modules_of_unix():
    words = [sys.executable, "-c", CODE]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, peak = done.stdout.split()
    assert int(count) > 100
    assert peak == "0"

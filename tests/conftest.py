"""What every test runs in: one backend, one cache, a fresh seed.

The suite runs once per backend: ``KERAS_BACKEND=torch pytest``. Models and
other things that tests share are modules in `tests/shared`.
"""

import gc
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# Memory is shared with the other frameworks on small test machines.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Many tests compile the same tiny programs: one folder for the workers, the
# processes that tests start, and later runs.
ROOT = Path(__file__).parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache/jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Processes that tests start import what the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(
        None,
        (str(ROOT), str(ROOT / "tests/shared"), os.environ.get("PYTHONPATH")),
    )
)

import keras
import pytest

# Keras collects garbage for every kernel that it quantises; what the imports
# made is most of what that would look through.
gc.freeze()


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Seed every test and drop the graphs that the previous one built."""
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session(free_memory=False)

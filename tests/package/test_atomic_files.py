"""Files and folders are written whole or not at all."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from keras_grow.files import atomic_path
from keras_grow.files import only_one
from keras_grow.files import save_tensors
from keras_grow.files import write_atomically

pytestmark = pytest.mark.no_backend


def text(path):
    with write_atomically(path) as file:
        file.write("new\n")


def tensors(path):
    save_tensors({"ones": np.ones(3)}, path)


def private_file(path):
    with atomic_path(path) as part:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))


def folder(path):
    with atomic_path(path) as part:
        part.mkdir()
        private_file(part / "inner")


@pytest.fixture
def umask():
    """The umask of a user who shares files with a group."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.parametrize("write", [text, tensors, private_file, folder])
def test_files_and_folders_have_the_modes_of_the_umask(tmp_path, umask, write):
    path = tmp_path / "name"
    write(path)
    found = [path, *path.rglob("*")]
    for file in found:
        wanted = 0o750 if file.is_dir() else 0o640
        assert file.stat().st_mode & 0o777 == wanted, file
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "name.txt"
    path.write_text("old")

    def fail():
        with write_atomically(path) as file:
            file.write("half of the")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_write_leaves_the_old_file_and_the_next_one_cleans_up(
    tmp_path,
):
    path = tmp_path / "name.txt"
    path.write_text("old")
    code = """
        import os, signal, sys
        from keras_grow.files import write_atomically
        with write_atomically(sys.argv[1]) as file:
            file.write("half of the")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    words = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    assert subprocess.run(words).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    text(path)
    assert path.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_leaves_files_alone_that_others_are_writing(tmp_path):
    path = tmp_path / "name.txt"
    with write_atomically(path) as first:
        first.write("first")
        text(path)
        assert path.read_text() == "new\n"
    assert path.read_text() == "first"


def test_writing_to_a_link_writes_its_target(tmp_path):
    (tmp_path / "own").mkdir()
    link = tmp_path / "name.txt"
    link.symlink_to(tmp_path / "own" / "target.txt")
    text(link)
    assert link.is_symlink()
    assert (tmp_path / "own" / "target.txt").read_text() == "new\n"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        text(tmp_path / "missing" / "name.txt")


def test_a_lock_is_held_once_and_released(tmp_path):
    again = only_one(tmp_path / "lock")
    with (
        only_one(tmp_path / "lock"),
        pytest.raises(BlockingIOError, match=r"Received: .*lock"),
    ):
        again.__enter__()
    with only_one(tmp_path / "lock"):
        pass


def test_a_lock_is_released_when_its_process_is_killed(tmp_path):
    code = """
        import os, signal, sys
        from keras_grow.files import only_one
        with only_one(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
    """
    lock = str(tmp_path / "lock")
    words = [sys.executable, "-c", textwrap.dedent(code), lock]
    assert subprocess.run(words).returncode == -signal.SIGKILL
    with only_one(lock):
        pass


def test_everything_in_the_package_writes_files_atomically():
    root = Path(__file__).parents[2]
    words = re.compile(
        r"os\.replace|mkstemp|NamedTemporaryFile|\.write_(text|bytes)\("
        r"|savefig\((?!part)"
    )
    found = {
        path.name
        for folder in ("keras_grow", "apps")
        for path in (root / folder).rglob("*.py")
        if words.search(
            "\n".join(
                line
                for line in path.read_text("utf-8").splitlines()
                # Examples of docstrings are the user's own files.
                if not line.lstrip().startswith(("pathlib.", "ranks."))
            )
        )
    }
    # These fill a folder that is their own until it is whole.
    own_folder = {
        "harness_check.py",
        "shards.py",
        "to_transformers.py",
        "tokenizer_files.py",
    }
    assert found == {"atomic.py", *own_folder}

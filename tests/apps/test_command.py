"""`keras-grow app` from the command line, and what it answers to mistakes."""

import socket
import subprocess
import sys

import pytest

from keras_grow.command import main

pytestmark = pytest.mark.no_backend


def test_it_serves_this_machine_alone_unless_told_otherwise(capsys):
    with pytest.raises(SystemExit):
        main(["app", "--help"])
    assert "on this machine alone" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "compare base, fine-tuned and grown" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "ann\n", "ann:\n", ":secret\n"])
def test_a_login_file_without_logins_is_refused(tmp_path, capsys, text):
    (tmp_path / "logins").write_text(text, "utf-8")
    words = ["app", "model", "--login", str(tmp_path / "logins")]
    assert main(words) == 1
    assert "NAME:PASSWORD" in capsys.readouterr().err


def test_a_login_file_is_said_to_be_plain_text(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["app", "--help"])
    assert "plain text" in " ".join(capsys.readouterr().out.split())
    assert main(["app", "model", "--login", str(tmp_path / "none")]) == 1
    assert "NAME:PASSWORD" in capsys.readouterr().err


def refusal(capsys, *words):
    """What the app says when it does not start, in one line."""
    assert main(["app", *words]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize("target", ["runs/nothing_here", "nothing.gguf"])
def test_a_target_that_is_missing_is_named(capsys, target):
    said = refusal(capsys, target)
    assert f"{target!r}, which does not exist. `make demo`" in said


def test_a_port_that_is_taken_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refusal(capsys, "model", "--port", port)
    assert f"--port {port} (Address already in use)" in said
    assert "another one with --port" in said
    assert "from 1 to 65535" in refusal(capsys, "model", "--port", "70000")
    said = refusal(capsys, "model", "--host", "no.such.host.invalid")
    assert "an address of this machine" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    folder = str(tmp_path / "file" / "runs")
    said = refusal(capsys, "model", "--folder", folder, "--port", free_port())
    assert f"--folder {folder} (" in said
    assert "Name another one with --folder" in said


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    words = [str(tmp_path), "--port", free_port(), "--folder", str(tmp_path)]
    assert "which holds a plan.json" in refusal(capsys, *words)


def test_the_page_does_not_wait_for_keras():
    code = "import sys, keras_grow.app.page; print('keras' in sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""`keras-grow app` from the command line, and what it answers to mistakes."""

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


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["app", str(tmp_path)]) == 1
    assert "which holds a plan.json" in capsys.readouterr().err


def test_the_page_does_not_wait_for_keras():
    code = "import sys, keras_grow.app.page; print('keras' in sys.modules)"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""The examples that a newcomer runs first do what they say."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_plain_mlp_keeps_its_function_and_its_base(capsys):
    runpy.run_path(str(EXAMPLES / "plain_mlp.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert "largest difference after growing: 0.0" in lines
    assert "change of the base: 0.0" in lines


def test_the_quickstart_is_short():
    lines = (EXAMPLES / "quickstart.py").read_text("utf-8").splitlines()
    assert len(lines) < 60


@pytest.mark.real
def test_the_quickstart_runs_on_the_real_model(tmp_path, capsys):
    namespace = runpy.run_path(str(EXAMPLES / "quickstart.py"))
    namespace["main"](folder=str(tmp_path))
    out = capsys.readouterr().out
    assert "bit for bit the base" in out
    answers = {
        line.partition(":")[0]: line.partition(":")[2]
        for line in out.splitlines()
        if line.startswith(("grown:", "base:", "plain:"))
    }
    assert answers["grown"] == answers["plain"]

"""The examples that a newcomer runs first do what they say."""

import dataclasses
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import tiny_lm

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_plain_mlp_keeps_its_function_and_its_base(capsys):
    runpy.run_path(str(EXAMPLES / "plain_mlp.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert "largest difference after growing: 0.0" in lines
    assert "change of the base: 0.0" in lines


@pytest.mark.usefixtures("runs_in_this_process")
def test_the_demo_ends_with_answers_and_takes_the_anchored_growth_later(
    tmp_path, monkeypatch, capsys
):
    """The whole demo on a tiny model; `make demo` runs it on the real one."""
    main = runpy.run_path(str(EXAMPLES / "demo.py"))["main"]
    model, rows = tmp_path / "model", tmp_path / "rows.jsonl"
    tiny_lm(tokenizer=True, num_layers=2).save_to_preset(str(model))
    row = json.dumps({"prompt": "the lazy", "response": " dog"})
    rows.write_text("\n".join([row] * 8), "utf-8")
    plan = dataclasses.replace(
        main.__globals__["PLAN"],
        model=str(model),
        task=f"{rows},{rows}",
        retention=(f"perplexity:{rows},{rows}",),
        anchor_text="base",
        batch_size=2,
    )
    monkeypatch.setitem(main.__globals__, "PLAN", plan)
    # Short and of one length: on TensorFlow, which is not traced here, each
    # token takes its time.
    prompts = ("the quick", "the brown", "lazy dogs")
    monkeypatch.setitem(main.__globals__, "PROMPTS", prompts)
    monkeypatch.setitem(main.__globals__, "ANSWER_TOKENS", 4)
    folder = tmp_path / "demo"
    command = ["demo.py", "--folder", str(folder), "--updates", "2"]
    for words, grown in (
        (command, "grown"),
        ([*command, "--anchored"], "grown, anchored"),
    ):
        monkeypatch.setattr(sys, "argv", words)
        main()
        report = (folder / "report.md").read_text("utf-8")
        for scale in ("0", "0.5", "1"):
            assert report.count(f"- {grown}, dial at {scale}: `") == 3
        assert f"| {grown} | 0.25 | " in report
        assert (folder / "front.png").exists()
        out = capsys.readouterr().out
        assert ("ANCHORED=1" in out) == (grown == "grown")
    assert "SFT-seed0: done before" in out
    monkeypatch.setattr(sys, "argv", command)
    main()
    assert "anchored-seed0: done before" in capsys.readouterr().out


@pytest.mark.once
def test_the_step_table_has_a_side_without_keras_and_goes_on_after_failures(
    tmp_path,
):
    script = EXAMPLES / "benchmarks/step.py"
    words = ["--model", "tiny", "--tokens", "2x16", "--together"]
    words += ["--rounds", "1", "--steps", "1", "--output", str(tmp_path / "it")]
    words += ["--cases", "no_such_case", "transformers_sft"]
    subprocess.run([sys.executable, script, *words], check=True)
    (run,) = json.loads((tmp_path / "it.json").read_text("utf-8"))["runs"]
    assert "failed" in run["cases"]["no_such_case"]
    found = run["cases"]["transformers_sft"]
    # Embedding, attention, MLP, norms of 12 blocks of width 64, final norm.
    attention = 64 * 32 * (4 + 1 + 1 + 4)
    block = attention + 3 * 64 * 128 + 4 * 64 + 2 * 32
    assert found["parameters"] == 4096 * 64 + 12 * block + 64
    before, after = found["losses"]
    assert after < before
    assert found["trained_in"] == found["moments_in"] == ["float32"]
    table = (tmp_path / "it.md").read_text("utf-8")
    assert "| no_such_case | failed: exit status 1 |" in table
    assert "| transformers_sft | " in table


@pytest.mark.no_backend
def test_the_quickstart_is_short():
    lines = (EXAMPLES / "quickstart.py").read_text("utf-8").splitlines()
    assert len(lines) < 60


@pytest.mark.real("jax")
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

"""`keras-grow dial`: what it takes, what it writes, what it refuses."""

import dataclasses
import shutil

import numpy as np
import pytest
import tiny_run
from keras import ops
from tiny_models import tiny_lm

import keras_grow
from keras_grow.command import main
from keras_grow.command.dial import write_scale
from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.comparison import run_method
from keras_grow.loading import load as loading
from keras_grow.saving.reading import read_growth_file

GROWN = Method("grown", "g_freeze", 1e-2)
ARTICLE = " = Fox = \n\n the quick brown fox jumps over a lazy dog \n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A base as a preset, a growth of it, and two files to dial by."""
    folder = tmp_path_factory.mktemp("dial")
    lm = tiny_lm("gemma3", tokenizer=True, num_layers=1)
    lm.save_to_preset(str(folder / "base"))
    keras_grow.grow_model(lm, name="french")
    rng = np.random.default_rng(0)
    for weight in lm.trainable_weights:
        noise = rng.normal(0, 0.3, weight.shape)
        weight.assign(ops.convert_to_numpy(weight) + noise)
    keras_grow.save_growth(lm, folder / "french.grow.safetensors")
    (folder / "old.txt").write_text("the quick brown fox jumps", "utf-8")
    row = '{"prompt": "bonjour", "response": " le monde"}\n'
    (folder / "new.jsonl").write_text(row, "utf-8")
    return folder


@pytest.fixture
def comparison(saved, tmp_path):
    """The files of a comparison: a plan, a run with a growth, one without."""
    methods = (Method("SFT", "sft", 1e-4), GROWN)
    plan = Plan("a model", "a task", methods, dtype="bfloat16")
    (tmp_path / "plan.json").write_text(plan.to_json(), "utf-8")
    for run in ("SFT-seed0", "grown-seed0"):
        (tmp_path / run).mkdir()
    shutil.copy(
        saved / "french.grow.safetensors",
        tmp_path / "grown-seed0/growth.grow.safetensors",
    )
    return tmp_path


class Asked(Exception):
    """Raised in place of loading a model, with the arguments."""


@pytest.fixture
def asked(saved, monkeypatch):
    """Run the command until it loads its model; return which one."""

    def load_causal_lm(*arguments):
        raise Asked(*arguments)

    def run(*words):
        with pytest.raises(Asked) as caught:
            main(["dial", *words, "--old", str(saved / "old.txt")])
        return caught.value.args

    monkeypatch.setattr(loading, "load_causal_lm", load_causal_lm)
    return run


def test_a_comparison_is_dialed_by_relative_paths(
    saved, tmp_path, monkeypatch, capsys
):
    rows = tiny_run.write_rows(tmp_path / "rows.jsonl", 4)
    plan = Plan(
        str(saved / "base"),
        f"{rows},{rows}",
        (GROWN,),
        updates=2,
        batch_size=4,
        evaluations=1,
        generated=0,
        shares=(),
    )
    made = tmp_path / "mine"
    made.mkdir()
    (made / "plan.json").write_text(plan.to_json(), "utf-8")
    run_method(made, GROWN, 0)
    path = made / "grown-seed0" / "growth.grow.safetensors"
    before = read_growth_file(path)
    # No scale that halving comes to.
    write_scale(path, "growth_1", 0.3)
    (tmp_path / "wikitext.txt").write_text(ARTICLE * 2, "utf-8")
    monkeypatch.chdir(tmp_path)
    typed = ["dial", "mine", "--old", "wikitext.txt", "--budget", "2%"]
    assert main(typed) == 0
    after = read_growth_file(path)
    scale = after.scales["growth_1"]
    assert (64 * scale).is_integer()
    assert f"now loads at {scale:g}." in capsys.readouterr().out
    assert dataclasses.replace(after, tensors={}) == dataclasses.replace(
        before, tensors={}, scales={"growth_1": scale}
    )
    grown = load_run(made, GROWN)
    assert keras_grow.growths(grown)["growth_1"].scale == scale


@pytest.mark.parametrize(
    ("inside", "growth"),
    [
        (".", "."),
        (".", "grown-seed0"),
        (".", "grown-seed0/growth.grow.safetensors"),
        ("grown-seed0", "."),
        ("grown-seed0", "growth.grow.safetensors"),
        ("SFT-seed0", "../grown-seed0"),
    ],
)
def test_the_plan_beside_or_above_a_growth_names_its_base(
    comparison, inside, growth, asked, monkeypatch
):
    monkeypatch.chdir(comparison / inside)
    assert asked(growth) == ("a model", "bfloat16")


def test_options_override_the_plan(comparison, asked, monkeypatch):
    monkeypatch.chdir(comparison)
    assert asked(".", "--model", "mine") == ("mine", "float32")
    assert asked(".", "--dtype", "float16") == ("a model", "float16")
    # A plan that is not needed is not read.
    (comparison / "plan.json").write_text("{}")
    assert asked(".", "--model", "mine") == ("mine", "float32")


def test_a_folder_with_several_growths_is_refused(comparison, capsys):
    shutil.copytree(comparison / "grown-seed0", comparison / "grown-seed1")
    assert main(["dial", str(comparison), "--old", "old.txt"]) == 1
    said = capsys.readouterr().err
    assert "Expected one growth" in said
    for run in ("grown-seed0", "grown-seed1"):
        assert str(comparison / run / "growth.grow.safetensors") in said
    assert said.count("\n") == 1


def test_the_command_writes_the_scale_and_nothing_else(saved, capsys):
    path = saved / "french.grow.safetensors"
    before = read_growth_file(path)
    words = ["dial", str(saved), "--model", str(saved / "base")]
    words += ["--old", str(saved / "old.txt"), "--budget", "1%", "--steps", "3"]
    words += ["--new", str(saved / "new.jsonl")]
    assert main([*words, "--dry-run"]) == 0
    assert read_growth_file(path).metadata == before.metadata
    assert main(words) == 0
    table = capsys.readouterr().out
    after = read_growth_file(path)
    scale = after.scales["french"]
    assert f"loads at {scale:g}" in table
    assert after.growths == before.growths
    for name, tensor in before.tensors.items():
        np.testing.assert_array_equal(after.tensors[name], tensor)
    again = tiny_lm("gemma3", tokenizer=True, num_layers=1)
    keras_grow.load_growth(again, path)
    assert keras_grow.growths(again)["french"].scale == scale
    write_scale(path, "french", 0.625)
    assert read_growth_file(path).scales == {"french": 0.625}
    write_scale(path, "french", 1.0)


@pytest.mark.parametrize(
    ("growth", "said"),
    [
        ("base", "a folder without *.grow.safetensors"),
        ("missing", "does not exist"),
        ("french.grow.safetensors", "no plan.json beside it"),
    ],
)
def test_the_command_reports_a_mistake_in_one_line(saved, growth, said, capsys):
    words = ["dial", str(saved / growth), "--old", str(saved / "old.txt")]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_budget_that_is_not_a_share_is_refused(capsys):
    words = ["dial", "x", "--model", "m", "--old", "o", "--budget", "much"]
    with pytest.raises(SystemExit):
        main(words)
    assert "2% or 0.02" in capsys.readouterr().err

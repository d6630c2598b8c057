"""Finished runs on disk, found again and never taken for something else."""

import json
import shutil
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from keras_grow.app.axis import Axis
from keras_grow.app.chart import curves
from keras_grow.app.curves import as_svg
from keras_grow.app.curves import charts
from keras_grow.app.curves import points
from keras_grow.app.drawings import analyses
from keras_grow.app.drawings import blocks
from keras_grow.app.drawings import growth_of
from keras_grow.app.results import as_csv
from keras_grow.app.runs import Runs
from keras_grow.app.runs import read_rows
from keras_grow.app.see_tab import choices
from keras_grow.app.training_folders import Note
from keras_grow.app.training_folders import write_note

from keras_grow.app import front_view
from keras_grow.comparison import Method
from keras_grow.comparison import Plan

SVG = "{http://www.w3.org/2000/svg}"
PLAN = Plan(
    "m",
    "t",
    (
        Method("g, one", "g_freeze", 1e-3),
        Method("sft", "sft", 1e-3),
        Method("never ran", "sft", 1e-3),
    ),
)


def finished(folder, **changes):
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(replace(PLAN, **changes).to_json())
    (folder / "results.jsonl").write_text("")
    for name, file in (
        ("g__one-seed0", "growth.grow.safetensors"),
        ("sft-seed0", "weights.safetensors"),
    ):
        (folder / name).mkdir()
        (folder / name / file).write_bytes(b"x")
        (folder / name / "done.json").write_text("{}")
    return folder


@pytest.fixture
def runs(tmp_path):
    given = finished(tmp_path / "given")
    finished(tmp_path / "made" / "one")
    finished(tmp_path / "made" / "other", model="another")
    return Runs.of(str(given), tmp_path / "made")


@pytest.mark.no_backend
def test_finished_runs_of_the_same_base_are_offered(runs):
    assert [folder.name for folder in runs.folders()] == ["given", "one"]
    found = {entry.key: entry.is_grown for entry in runs.entries()}
    assert found == {
        "given/g__one-seed0": True,
        "given/sft-seed0": False,
        "one/g__one-seed0": True,
        "one/sft-seed0": False,
    }


@pytest.mark.no_backend
def test_the_newest_training_is_first_and_has_its_name(runs, tmp_path):
    for kind, day in (("sft", 24), ("g_freeze", 25), ("sft", 23)):
        own = finished(tmp_path / "made" / f"{kind}_2026-11-{day}_16-25-35")
        write_note(own, Note(f"of the {day}th"))
    names = [folder.name for folder in runs.folders()]
    assert names[0] == "given"
    days = [name[-11:-9] for name in names if "_2026" in name]
    assert days == ["25", "24", "23"]
    assert ("of the 25th", "g_freeze_2026-11-25_16-25-35") in choices(
        runs
    ).choices


@pytest.mark.no_backend
def test_what_cannot_be_drawn_is_left_out_of_a_chart():
    inf, nan = float("inf"), float("nan")
    drawn = curves("t", {"a": [(1, 2), (inf, 2), (nan, 2), (2, inf)]}, ["a"])
    assert drawn.count("kg-point") == 1


@pytest.mark.no_backend
def test_a_run_that_the_app_made_and_was_started_on_is_offered_once(
    runs, tmp_path, monkeypatch
):
    again = Runs.of(str(tmp_path / "made" / "one"), tmp_path / "made")
    assert [folder.name for folder in again.folders()] == ["one"]
    monkeypatch.chdir(tmp_path)
    relative = Runs.of("made/one", "made")
    assert [folder.name for folder in relative.folders()] == ["one"]
    assert len(relative.entries()) == 2


@pytest.mark.no_backend
@pytest.mark.parametrize(
    "key", ["../given/sft-seed0", "/etc/passwd", "", None, "given", "x/../y"]
)
def test_a_key_is_never_a_path(runs, key):
    assert runs.entry(key) is None
    assert runs.folder(key) is None or key == "given"


@pytest.mark.no_backend
def test_a_run_that_was_killed_is_not_offered(runs, tmp_path):
    (tmp_path / "given" / "sft-seed0" / "done.json").unlink()
    assert runs.entry("given/sft-seed0") is None
    (tmp_path / "made" / "one" / "plan.json").write_text("{")
    assert [folder.name for folder in runs.folders()] == ["given"]


@pytest.mark.no_backend
def test_a_folder_without_a_plan_is_refused_and_a_model_taken(tmp_path):
    with pytest.raises(ValueError, match=r"holds a plan\.json"):
        Runs.of(str(tmp_path), tmp_path / "made")
    runs = Runs.of("gemma3_1b", tmp_path / "made")
    assert (runs.given, runs.model, runs.folders()) == (None, "gemma3_1b", [])


@pytest.mark.no_backend
def test_half_a_row_is_left_out_and_the_last_of_a_step_counts(tmp_path):
    row = {
        "method": "a",
        "seed": 0,
        "step": 0,
        "scores": {"new/loss": 2.0},
        "details": {"new/loss": {"metric": "loss", "n": 1}},
    }
    again = {**row, "scores": {"new/loss": 1.0}}
    other = {**row, "seed": 1, "scores": {"new/loss": 4.0}}
    text = "\n".join(map(json.dumps, (row, again, other)))
    (tmp_path / "results.jsonl").write_text(text + '\n{"method": "a", "se')
    rows = read_rows(tmp_path)
    ((point,),) = points(rows, "new/loss").values()
    assert (point.x, point.y, point.up) == (0, 2.5, (1.0, 4.0))
    assert as_csv(rows).splitlines()[1] == "a,0,0,new/loss,1.0"


@pytest.mark.no_backend
def test_names_and_numbers_of_a_chart_are_text():
    nasty = "<script>alert(1)</script>"
    rows = [
        {"method": nasty, "seed": 0, "step": s, "scores": {"new/loss": v}}
        for s, v in ((0, 2.0), (5, float("nan")), (10, 1.0))
    ]
    drawn = charts(rows)
    assert "<script" not in drawn
    assert drawn.count("kg-point") == 2
    assert "(lower is better)" in drawn


@pytest.mark.no_backend
def test_a_curve_has_intervals_what_it_is_over_and_the_axis_of_its_metric():
    def row(method, step, score, seed=0, **details):
        details = {"metric": "exact_match", "n": 40, **details}
        return {
            "method": method,
            "seed": seed,
            "step": step,
            "scores": {"new/exact_match": score},
            "details": {"new/exact_match": details},
        }

    # One right answer of 40 is no mountain: the axis goes from 0 to 1.
    rows = [
        row("a", 0, 0.0, low=0.0, high=0.09),
        row("a", 5, 1 / 40, low=0.004, high=0.13),
        row("b", 0, 0.0),
    ]
    drawn = charts(rows)
    assert "over 40 examples" in drawn
    assert "a: 0.025 (0.004 to 0.13) at 5 updates" in drawn
    # The base was scored once, for all methods.
    assert "b: 0 (0 to 0.09) at 0 updates" in drawn
    assert drawn.count("kg-bars") == 3
    for tick in ("0.0", "0.5", "1.0"):
        assert f">{tick}</text>" in drawn
    assert "95% intervals" in drawn
    assert "95% intervals" not in charts([row("a", 5, 0.2)])
    several = charts([row("a", 5, 0.2, seed=s) for s in (0, 1)])
    assert "lowest to the highest of 2 seeds" in several


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("values", "low", "high", "ends", "log"),
    [
        ([0.0, 0.025], 0.0, 1.0, (0.0, 1.0), False),
        ([2.6, 1.9], 0.0, None, (0.0, 2.642), False),
        ([16.8, 18.8], 1.0, None, (1.0, 18.92), False),
        ([16.8, 2000.0], 1.0, None, (1.0, 2400.0), True),
        ([-1.0, 1.0], None, None, (-1.12, 1.12), False),
        ([3.0], None, None, (2.7, 3.3), False),
    ],
)
def test_an_axis_belongs_to_its_metric(values, low, high, ends, log):
    axis = Axis.over(values, low, high)
    assert (axis.low, axis.high) == pytest.approx(ends)
    assert axis.log == log
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == pytest.approx(1)
    ticks = axis.ticks()
    assert 3 <= len(ticks) <= 8
    assert all(axis.low <= value <= axis.high for value, _ in ticks)


@pytest.mark.no_backend
def test_the_front_has_the_points_of_the_dial(tmp_path):
    shutil.copytree("examples/results/demo", tmp_path / "demo")
    folder = tmp_path / "demo"
    assert "No points along the dial" in front_view.drawn(tmp_path)
    methods = (Method("SFT", "sft", 1e-5), Method("grown", "g_freeze", 1e-5))
    plan = Plan("m", "t", methods, retention=("a.txt",), updates=20)
    (folder / "plan.json").write_text(plan.to_json())
    drawn = front_view.drawn(folder)
    row = next(
        line.split("|")
        for line in (folder / "report.md").read_text().splitlines()
        if line.startswith("| grown | 0.5 |")
    )
    learned, forgotten = (cell.strip() for cell in row[3:5])
    assert f"grown: dial 0.5: loss {learned}, perplexity {forgotten}" in drawn
    assert "SFT: 50% of its change" in drawn
    # The base and three shares of each, with both intervals.
    assert drawn.count('class="kg-point"') == 2 * 4
    assert drawn.count("kg-bars") == 2 * 4 * 2
    (folder / "shares.jsonl").write_text('{"method": 1}\n')
    assert "cannot be read" in front_view.drawn(folder)


@pytest.mark.no_backend
def test_a_picture_of_the_curves_names_them():
    rows = [
        {"method": m, "seed": 0, "step": s, "scores": {"new/a<b": 1.0 + s}}
        for m in ("SFT & more", "<grown>", "left out")
        for s in (0, 5)
    ]
    picture = ElementTree.fromstring(as_svg(rows, ["SFT & more", "<grown>"]))
    texts = [e.text for e in picture.iter(f"{SVG}text")]
    assert texts[:2] == ["SFT & more", "<grown>"]
    assert "New skill: a<b (higher is better)" in texts
    assert "left out" not in texts
    _, _, _, height = map(float, picture.get("viewBox").split())
    charts = [e for e in picture.iter(f"{SVG}svg") if e.get("y")]
    assert float(charts[0].get("y")) > 2 * 18
    assert float(charts[-1].get("y")) + 230 <= height


def test_a_growth_file_says_what_has_grown(tmp_path):
    from tiny_models import tiny_lm

    from keras_grow import grow_model
    from keras_grow import growth_report
    from keras_grow import save_growth

    lm = grow_model(tiny_lm(num_layers=3), factor=3, layers=[0, 2])
    save_growth(lm, tmp_path / "x.grow.safetensors")
    growth = growth_of(tmp_path / "x.grow.safetensors")
    assert growth["factors"] == {0: 3, 2: 3}
    assert growth["parameters"] == growth_report(lm).trainable_parameters
    drawn = blocks("x", growth, 3)
    assert drawn.count("3 times as wide") == 2
    assert "2 of 3 blocks grown" in drawn
    (tmp_path / "torn").write_bytes(b"\xff" * 20)
    assert growth_of(tmp_path / "torn") is None


@pytest.mark.no_backend
def test_other_peoples_json_is_left_alone(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text('{"format": "keras_grow.layer_scores"}')
    (tmp_path / "c.json").write_text("{")
    assert analyses(tmp_path) == []

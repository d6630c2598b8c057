"""See, Train and Take away in a real browser."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
import tiny_run
from browsing import answers
from browsing import ask
from browsing import says
from browsing import upload
from browsing import write_rows
from keras_grow.app.runs import read_rows
from playwright.sync_api import TimeoutError as Late

import keras_grow

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
TABS = ("Compare", "See", "Train", "Take away")


def test_see_draws_the_run_and_gives_its_data(app, visit, run_folder):
    page = visit(app)
    page.get_by_role("tab", name="See").click()
    table = says(page, "see-table", "grown")
    rows = read_rows(run_folder)
    last = next(r for r in rows if r["method"] == "SFT" and r["step"] == 2)
    for value in last["scores"].values():
        assert f"{value:.4g}" in table
    curves = page.locator("#see-curves .kg-chart")
    assert curves.count() == len(last["scores"])
    assert page.locator("#see-curves .kg-point").count() == 3 * 2 * 2
    assert "2 of 3 blocks grown" in page.inner_text("#see-blocks")
    assert page.locator("#see-blocks .kg-on").count() == 2
    # The report is of the growth at work, which is off until it is asked.
    assert "scale 1" in page.inner_text("#see-blocks")
    analyses = page.inner_text("#see-analyses")
    assert "Layer scores (update): an example" in analyses
    assert "Rank map" in analyses
    page.get_by_label("SFT", exact=True).uncheck()
    page.wait_for_function(
        "document.querySelectorAll('#see-curves .kg-point').length === 6"
    )
    curves.first.locator("svg").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    grown = next(r for r in rows if r["method"] == "grown" and r["step"] == 2)
    loss = grown["scores"]["new/loss"]
    readout = curves.first.locator(".kg-readout").inner_text()
    assert readout.startswith(f"grown: {loss:.4g} ")
    assert readout.endswith("at 2 updates")
    with page.expect_download() as download:
        page.locator("#see-csv").click()
    text = download.value.path().read_text("utf-8")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == len(rows) * len(last["scores"])
    with page.expect_download() as download:
        page.locator("#see-json").click()
    assert json.loads(download.value.path().read_text("utf-8")) == rows
    with page.expect_download() as download:
        page.locator("#see-data").click()
    data = json.loads(download.value.path().read_text("utf-8"))
    assert data["grown"]["grown (tiny)"]["factors"] == {"1": 2, "2": 2}
    assert data["analyses"]["rank_map.json"] == tiny_run.RANK_MAP
    assert data["analyses"]["layer_scores.json"]["blocks"] == [2, 0, 1]


def test_an_upload_is_shown_as_prompts_or_refused_in_words(
    app, visit, tmp_path
):
    page = visit(app)
    good = write_rows(tmp_path / "good.jsonl", response=" <b>fox</b>")
    upload(page, good)
    shown = says(page, "upload-check", "20 rows: 16 to learn from")
    assert "<b>fox</b>" in shown
    assert "the quick the" in shown
    for name, content, message in (
        ("bad.jsonl", b'{"prompt": 1}\n' * 9, "Error"),
        ("few.jsonl", b'{"prompt": "a", "response": "b"}', "at least 8"),
        ("odd.csv", b"x,y\n1,2\n", "does not know the names"),
        ("bytes.csv", bytes(range(256)) * 20, "does not know the names"),
    ):
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        says(page, "upload-check", message)
    page.locator("#train").click()
    says(page, "train-said", "Error")


def choose(page, dropdown, name):
    """Choose from a list that the server may not have renewed yet."""
    option = page.get_by_role("option", name=name)
    for _ in range(30):
        page.locator(dropdown).click()
        try:
            return option.click(timeout=3000)
        except Late:
            page.locator(dropdown).press("Escape")
            page.locator(dropdown).blur()
    raise AssertionError(f"no option {name!r}")


def test_a_training_is_watched_stopped_kept_compared_and_taken_away(
    start_app, visit, tmp_path, run_folder
):
    # An app of its own: what is trained here would answer in other tests.
    app = start_app(run_folder, tmp_path / "runs")
    page, other = visit(app), visit(app)
    upload(page, write_rows(tmp_path / "rows.jsonl"))
    says(page, "upload-check", "20 rows: 16 to learn from")
    page.get_by_role("button", name="Advanced").click()
    page.get_by_label("Grown blocks").fill("2")
    page.get_by_label("Updates").fill("2000")
    page.locator("#train-name textarea").fill("trained in the app")
    page.get_by_label("Learning rate").fill("0.01")
    page.locator("#train").click()
    says(page, "train-progress", "Update")
    upload(other, write_rows(tmp_path / "other.jsonl"))
    says(other, "upload-check", "20 rows: 16 to learn from")
    other.locator("#train").click()
    says(other, "train-said", "one at a time")
    other.locator("#train-stop").click()
    says(other, "train-said", "Only the visitor who started")
    other.get_by_role("tab", name="Compare").click()
    ask(other, "the quick")
    assert all(answers(other).values())
    says(page, "train-progress", " left.")
    assert page.locator("#train-curves .kg-chart").count() == 4
    page.locator("#train-stop").click()
    note = says(page, "train-progress", "Stopped after", "Error")
    assert "is kept" in note
    page.locator("#train-compare").click()
    ask(page, "the quick")
    assert all(answers(page).values())
    assert "trained in the app" in says(page, "note-3", "Drift")
    page.get_by_role("tab", name="Take away").click()
    choose(page, "#take-model input", "trained in the app")
    says(page, "take-about", "trained in the app")
    says(page, "take-files", "Download")
    with page.expect_download() as download:
        page.locator("#take-download").click()
    name = download.value.suggested_filename
    assert "trained-in-the-app" in name
    download.value.save_as(tmp_path / name)
    install, *code = (
        page.locator("#take-code textarea").input_value().splitlines()
    )
    assert install == "# In a clone of keras_grow: pip install '.[jax]'"
    *code, _ = "\n".join(code).replace(name, str(tmp_path / name)).splitlines()
    names = {}
    exec("\n".join(code), names)
    assert keras_grow.growth_report(names["lm"]).widths.keys() == {1, 2}


def test_a_fine_tuned_model_is_taken_away_whole_with_its_card(app, visit):
    page = visit(app)
    page.get_by_role("tab", name="Take away").click()
    says(page, "take-files", "grown-tiny.grow.safetensors")
    choose(page, "#take-model input", "SFT (tiny)")
    says(page, "take-about", "not there in this form yet")
    assert not page.get_by_label("Growth file").count()
    page.get_by_label("Folder for transformers").check()
    page.get_by_role("button", name="Make the folder").click()
    assert "Error" not in says(page, "take-about", "Error", "whole model")
    says(page, "take-files", "Download SFT-tiny.zip")
    with page.expect_download() as download:
        page.locator("#take-download").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = {Path(name).name for name in archive.namelist()}
        assert {"model.safetensors", "config.json", "README.md"} <= names
        assert {Path(n).parent.name for n in archive.namelist()} == {"SFT-tiny"}
    with page.expect_download() as download:
        page.locator("#take-card").click()
    text = download.value.path().read_text("utf-8")
    assert "Trained on: train.jsonl, validation.jsonl, by sft" in text
    code = page.locator("#take-code textarea").input_value()
    assert code.startswith("# pip install transformers torch\n# unzip SFT-tiny")


@pytest.mark.parametrize("tab", TABS)
def test_a_phone_shows_every_tab_without_scrolling_sideways(app, visit, tab):
    page = visit(app, viewport={"width": 375, "height": 700})
    tabs = page.get_by_role("tab", name=tab)
    if not tabs.is_visible():
        page.locator(".overflow-menu button").first.click()
        page.locator(".overflow-dropdown button", has_text=tab).click()
    else:
        tabs.click()
    page.wait_for_timeout(300)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 375


def test_the_keyboard_alone_is_enough(app, visit):
    page = visit(app)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#prompt') !== null"):
            break
    page.keyboard.type("the quick")
    page.keyboard.press("Shift+Enter")
    assert all(answers(page).values())
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.closest('[id]')?.id ?? ''")
        )
    assert {"ask", "stop", "make-link"} <= reached

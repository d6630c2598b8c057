"""Train in a real browser: files as people have them, an app that is killed."""

import contextlib
import csv
import io
import json
import os
import signal

import pytest
import tiny_run
from browsing import ask
from browsing import says
from browsing import upload
from workers import worker_of

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
PAIRS = tiny_run.rows(24)


def parquet():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    write_table(pyarrow.Table.from_pylist(PAIRS), file)
    return file.getvalue()


def table(separator, *names):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerows([names, *(row.values() for row in PAIRS)])
    return file.getvalue().encode()


@contextlib.contextmanager
def held_still(folder):
    """The process that trains in a folder, stopped as a debugger stops it."""
    pid = worker_of(folder)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_files_of_each_kind_are_read_and_their_columns_chosen(
    app, visit, tmp_path
):
    page = visit(app)
    alpaca = [
        {"instruction": row["prompt"], "output": row["response"]}
        for row in PAIRS
    ]
    lines = "\n".join(map(json.dumps, PAIRS)).encode()
    for name, content in (
        ("rows.jsonl", lines),
        ("array.json", json.dumps(PAIRS).encode()),
        ("semicolons.csv", b"\xef\xbb\xbf" + table(";", "Prompt", "RESPONSE")),
        ("tabs.tsv", table("\t", "prompt", "completion")),
        ("rows.parquet", parquet()),
        ("alpaca.json", json.dumps(alpaca).encode()),
    ):
        (tmp_path / name).write_bytes(content)
        upload(page, tmp_path / name)
        said = says(page, "upload-check", "to learn from", "Error")
        assert "24 rows" in said
        says(page, "train-forecast", "passes over")
        chats = page.locator("#template").is_visible()
        assert chats == (name == "alpaca.json")
    (tmp_path / "odd.csv").write_bytes(table(",", "Frage", "Antwort"))
    upload(page, tmp_path / "odd.csv")
    says(page, "upload-check", "does not know the names")
    for column, name in (("prompt", "Frage"), ("answer", "Antwort")):
        page.locator(f"#{column}-column input").click()
        chosen = page.locator(f"#{column}-column")
        chosen.get_by_role("option", name=name).click()
    says(page, "upload-check", "24 rows")
    page.get_by_label("Careful").check()
    page.get_by_role("button", name="Advanced").click()
    anchored = page.get_by_label("Hold it to the base")
    anchored.wait_for()
    assert anchored.is_checked()
    assert page.get_by_label("Grown blocks").input_value() == "0"
    page.get_by_label("Updates").fill("0")
    assert "Choose updates" in says(page, "train-forecast", "Error")


def test_a_training_is_found_again_after_the_app_was_killed(
    start_app, visit, tmp_path, run_folder
):
    app = start_app(run_folder, tmp_path / "runs")
    context = visit(app).context
    (page,) = context.pages
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    upload(page, tmp_path / "rows.jsonl")
    says(page, "upload-check", "24 rows")
    page.get_by_role("button", name="Advanced").click()
    page.get_by_label("Updates").fill("2000")
    page.locator("#train-name textarea").fill("mine")
    page.locator("#train").click()
    says(page, "train-progress", "Training.")
    (own,) = (tmp_path / "runs").glob("*/training.json")
    # Or it might come to its end before the page asks about it.
    with held_still(own.parent):
        app.kill()
        # Or the page, once it is answered again, loads itself in between.
        page.goto("about:blank")
        app.start()
        # The same visitor, whose browser knows who started it.
        page.goto(app.url)
        says(page, "status", "Ready.")
        page.get_by_role("tab", name="Train").click()
        assert "mine" in says(page, "train-progress", "Your training")
        upload(page, tmp_path / "rows.jsonl")
        says(page, "upload-check", "24 rows")
        page.locator("#train").click()
        says(page, "train-said", "started by you")
        page.locator("#train-stop").click()
        says(page, "train-said", "Stopping")
    said = says(page, "train-progress", "is kept", "Error", "nothing was")
    assert "mine is kept" in said
    page.get_by_role("button", name="Trainings").click()
    page.locator("#training input").click()
    page.get_by_role("option", name="mine").click()
    says(page, "training-about", "It is done")
    page.get_by_label("New name").fill("better <b>name</b>")
    page.get_by_label("Notes").fill("of the fox")
    page.locator("#training-save").click()
    says(page, "training-about", "Saved: better <b>name</b>")
    page.locator("#train-compare").click()
    page.wait_for_function(
        "[0, 1, 2, 3].some(i => document.querySelector(`#model-${i} input`)"
        "?.value === 'better <b>name</b>')"
    )
    page.get_by_role("tab", name="Train").click()
    page.locator("#training-delete").click()
    says(page, "training-question", "Delete better <b>name</b>")
    page.locator("#training-no").click()
    page.locator("#training-question").wait_for(state="hidden")
    assert json.loads(own.read_text("utf-8"))["notes"] == "of the fox"
    page.locator("#training-delete").click()
    page.locator("#training-yes").click()
    says(page, "training-about", "Deleted.")
    assert not own.exists()
    # The pane that had it is without a model, and the others go on.
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_function(
        "[...document.querySelectorAll('[id^=model-] input')]"
        ".some(each => each.value === '' && each.offsetParent)"
    )
    ask(page, "the quick")
    says(page, "note-0", "Drift")
    says(page, "note-3", "No such model here")

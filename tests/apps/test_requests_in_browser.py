"""What the app says to requests that no page of it makes, and to strangers."""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from browsing import PATIENCE_MS
from browsing import ask
from browsing import says
from browsing import write_rows

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend


def post(app, path, body, kind="application/json"):
    """Status and text of what an app says to a request."""
    request = urllib.request.Request(
        app.url + path, body, {"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def check_of(app, path):
    """What an app says to an upload that is said to lie at `path`."""
    with urllib.request.urlopen(app.url + "/config") as response:
        config = json.load(response)
    (upload,) = [
        component["id"]
        for component in config["components"]
        if component["props"].get("elem_id") == "upload"
    ]
    event = next(
        dependency
        for dependency in config["dependencies"]
        if dependency["inputs"][:1] == [upload]
    )
    values = {c["id"]: c["props"].get("value") for c in config["components"]}
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [file, *(values[each] for each in event["inputs"][1:])]
    body = {"data": data, "fn_index": event["id"], "session_hash": "x"}
    return post(app, "/gradio_api/run/predict", json.dumps(body).encode())


def test_a_path_that_was_not_uploaded_is_not_read(app, tmp_path):
    own = write_rows(tmp_path / "own.jsonl")
    for path in ("/etc/passwd", str(own), "../../etc/passwd"):
        status, said = check_of(app, path)
        assert status in (400, 403, 500)
        assert "root:" not in said
        assert "the quick" not in said


def test_an_upload_stays_in_the_folder_of_uploads(app, tmp_path):
    rows = write_rows(tmp_path / "rows.jsonl").read_bytes()
    for name in ("../../x.jsonl", "..\\..\\x.jsonl", "/tmp/../x.jsonl"):
        part = (
            '--cut\r\nContent-Disposition: form-data; name="files"; '
            f'filename="{name}"\r\n\r\n'
        )
        status, said = post(
            app,
            "/gradio_api/upload",
            part.encode() + rows + b"\r\n--cut--\r\n",
            "multipart/form-data; boundary=cut",
        )
        assert status == 200
        (path,) = json.loads(said)
        uploads = (app.folder / "uploads").resolve()
        assert Path(path).resolve().is_relative_to(uploads)
        status, said = check_of(app, path)
        assert (status, "20 rows: " in said) == (200, True)


def test_what_was_deleted_meanwhile_is_said(app, visit):
    page = visit(app)
    for path in ("model/growth/gone/x", "run/gone/results.csv"):
        response = page.request.get(f"{app.url}/downloads/{path}")
        assert response.status == 404
        assert "not there any more" in response.text()


def test_files_outside_the_apps_own_are_refused(app, run_folder):
    for path in (
        "/etc/passwd",
        str(run_folder / "plan.json"),
        "../../etc/passwd",
        "pyproject.toml",
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{app.url}/gradio_api/file={path}")
        refused.value.close()
        assert refused.value.code in (403, 404)


def test_a_login_is_asked_for_and_a_model_that_is_damaged_is_named(
    browser, start_app, tmp_path
):
    (tmp_path / "logins").write_text("ann:secret\n", "utf-8")
    (tmp_path / "damaged.gguf").write_bytes(b"no model")
    app = start_app(
        str(tmp_path / "damaged.gguf"),
        tmp_path / "runs",
        *("--login", str(tmp_path / "logins")),
    )
    for path in ("/config", "/downloads/run/gone/results.csv"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(app.url + path)
        refused.value.close()
        assert refused.value.code == 401
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(app.url)
    page.get_by_label("username").fill("ann")
    page.get_by_label("password").fill("secret")
    page.get_by_role("button", name="Login").click()
    page.locator("#prompt textarea").wait_for()
    ask(page, "the quick")
    assert "damaged.gguf" in says(page, "note-0", "Error")
    page.get_by_role("tab", name="See").click()
    says(page, "see-curves", "No finished run yet")
    page.get_by_role("tab", name="Take away").click()
    says(page, "take-about", "No model to take away yet")
    context.close()


def switches(pid):
    """How often the threads of a process have gone to sleep."""
    files = Path(f"/proc/{pid}/task").glob("*/status")
    texts = [file.read_text() for file in files]
    return sum(
        int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
        for text in texts
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_an_app_that_nobody_asks_lets_the_machine_rest(app):
    before = switches(app.process.pid)
    time.sleep(2)
    # Gradio's queue alone would look for questions 1,000 times a second.
    assert switches(app.process.pid) - before < 1200

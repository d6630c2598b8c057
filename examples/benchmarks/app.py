"""Measure the app on a run of the real model, and take the README's pictures.

    python examples/benchmarks/app.py runs/demo --pictures examples/results/app

Prints JSON: seconds, and CPU seconds of the app, from the start to the first
page, to the models being ready, and from the click to the first token that is
shown in a headless Chromium; then, for visitors who ask at the same moment,
how many were answered and the seconds until the first and the last had their
answer.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PROMPT = "English: Your password was changed.\nFrench:"
_FIRST_TOKEN = """() => new Promise(done => {
  const start = performance.now();
  document.querySelector('#ask').click();
  const wait = setInterval(() => {
    if (!document.querySelector('#answer-base textarea').value) return;
    clearInterval(wait);
    done((performance.now() - start) / 1000);
  }, 5);
})"""
_SCORED = """() => [...document.querySelectorAll('#panes [id^=note-]')]
  .every(note => /Drift|No .* model here|Error/.test(
    note.innerText))"""


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far (Linux), steady on a busy machine."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for_page(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)


def post(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()


def visit(url: str, event: int, number: int, length: int) -> float | None:
    """Ask as one visitor; seconds to the whole answer, None without one."""
    session = f"visitor{number}"
    values = [None, None, [], PROMPT, "greedy", 0.8, 40, length, 0, True]
    start = time.monotonic()
    body = {"data": values, "fn_index": event, "session_hash": session}
    post(f"{url}/gradio_api/queue/join", body)
    data = f"{url}/gradio_api/queue/data?session_hash={session}"
    with urllib.request.urlopen(data) as stream:
        for line in stream:
            if line.startswith(b"data:"):
                message = json.loads(line[5:])
                if message["msg"] == "process_completed":
                    said = message["success"] and message["output"]["data"][0]
                    return time.monotonic() - start if said else None
    return None


def crowd(url: str, visitors: int, length: int) -> dict[str, Any]:
    config = json.load(urllib.request.urlopen(f"{url}/config"))
    (event,) = [
        dependency["id"]
        for dependency in config["dependencies"]
        if (len(dependency["inputs"]), len(dependency["outputs"])) == (10, 7)
    ]
    with concurrent.futures.ThreadPoolExecutor(visitors) as pool:
        waits = list(
            pool.map(lambda n: visit(url, event, n, length), range(visitors))
        )
    answered = [wait for wait in waits if wait is not None]
    return {
        "visitors": visitors,
        "answered": len(answered),
        "first_answered_s": round(min(answered), 1),
        "last_answered_s": round(max(answered), 1),
    }


def measure(
    arguments: argparse.Namespace, start: float, pid: int
) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    url = f"http://127.0.0.1:{arguments.port}"
    wait_for_page(url)
    found: dict[str, Any] = {
        "first_page_s": round(time.monotonic() - start, 1),
        "first_page_cpu_s": round(cpu_seconds(pid), 1),
    }
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(3_600_000)
        page.goto(url)
        page.wait_for_function(
            "document.querySelector('#status')?.innerText.includes('Ready')"
        )
        found["models_ready_s"] = round(time.monotonic() - start, 1)
        page.get_by_label("Prompt").fill(PROMPT)
        before = cpu_seconds(pid)
        found["first_token_s"] = round(page.evaluate(_FIRST_TOKEN), 2)
        found["first_token_cpu_s"] = round(cpu_seconds(pid) - before, 2)
        page.wait_for_function(_SCORED)
        if arguments.pictures:
            take_pictures(page, arguments.pictures)
        browser.close()
    print(json.dumps(found), flush=True)
    if arguments.visitors:
        found |= crowd(url, arguments.visitors, arguments.length)
    return found


def take_pictures(page: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(2000)
    page.screenshot(path=folder / "compare.png", full_page=True)
    page.get_by_role("tab", name="See").click()
    page.locator("#see-blocks .kg-block").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=folder / "see.png", full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a comparison")
    parser.add_argument("--port", type=int, default=7899)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--length", type=int, default=8)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    command = [sys.executable, "-m", "keras_grow.app", arguments.run]
    app = subprocess.Popen([*command, "--port", str(arguments.port)])
    try:
        print(json.dumps(measure(arguments, start, app.pid)))
    finally:
        app.terminate()
        app.wait()


if __name__ == "__main__":
    main()

"""Measure the app on a run of the real model, and take the README's pictures.

    python examples/benchmarks/app.py runs/demo --pictures examples/results/app

Prints JSON: seconds from the start to the first page and to the models being
ready; from the click to the first token that is shown in a headless Chromium;
the rate of one pane alone, of three at once, of one pane whose reader draws
nothing on these cores, and of `Scorer` on one prompt (what 0.9 is aimed at);
seconds to the first token of each of several visitors who ask at the same
moment; and the most memory that the app had. Rates of one answer are the
highest of three.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PROMPT = "English: Your password was changed.\nFrench:"
TOKENS = 48
_NOTE = re.compile(r"first after ([\d.]+) s, then ([\d.]+) per second")
_RATE = re.compile(r"then ([\d.]+) per second")
_FIRST_TOKEN = """button => new Promise(done => {
  const start = performance.now();
  document.querySelector(button).click();
  const wait = setInterval(() => {
    const note = document.querySelector('#note-0').innerText;
    if (!/Writing: [1-9]|first after/.test(note)) return;
    clearInterval(wait);
    done((performance.now() - start) / 1000);
  }, 5);
})"""


def most_memory(pid: int) -> float:
    """The most memory that a process had (Linux), in GB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1e6, 2)


def wait_for_page(url: str) -> None:
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)


def open_page(browser: Any, url: str) -> Any:
    page = browser.new_context(
        viewport={"width": 1280, "height": 900}
    ).new_page()
    page.set_default_timeout(600_000)
    page.goto(url)
    page.wait_for_function(
        "document.querySelector('#status')?.innerText.includes('Ready')"
    )
    page.locator("#prompt textarea").fill(PROMPT)
    return page


def written(page: Any, pane: int) -> tuple[float, float]:
    """Seconds to a pane's first token, and its tokens per second."""
    page.wait_for_function(
        "id => /first after/.test(document.getElementById(id).innerText)",
        arg=f"note-{pane}",
    )
    found = _NOTE.search(page.locator(f"#note-{pane}").inner_text())
    assert found is not None
    return float(found[1]), float(found[2])


def alone(page: Any) -> tuple[float, dict[str, Any]]:
    """The highest rate of one pane in three questions, and the last question.

    The question as Gradio's page sent it.
    """
    rates = []
    for _ in range(3):
        with page.expect_request("**/queue/join*") as sent:
            page.locator("#ask-0").click()
        # What the last answer left there is gone by then.
        page.wait_for_timeout(500)
        rates.append(written(page, 0)[1])
    return max(rates), sent.value.post_data_json


def alone_undrawn(url: str, question: dict[str, Any]) -> float:
    """The highest rate of a question in three, read without a browser."""
    rates = []
    for number in range(3):
        own = {**question, "session_hash": f"reader{number}"}
        join = urllib.request.Request(
            f"{url}/gradio_api/queue/join",
            json.dumps(own).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(join).close()
        data = f"{url}/gradio_api/queue/data?session_hash=reader{number}"
        with urllib.request.urlopen(data) as stream:
            said = stream.read().decode()
        rates.append(float(_RATE.findall(said)[-1]))
    return max(rates)


def no_line_end(page: Any) -> None:
    """Answers as long as they may be, and without a look at their drift."""
    page.locator("#settings button").first.click()
    page.wait_for_timeout(1000)
    page.locator("#one-line input").uncheck()
    page.locator("#drift input").uncheck()


def measure(
    arguments: argparse.Namespace, start: float, pid: int
) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    url = f"http://127.0.0.1:{arguments.port}"
    wait_for_page(url)
    found: dict[str, Any] = {"first_page_s": round(time.monotonic() - start, 1)}
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = open_page(browser, url)
        found["models_ready_s"] = round(time.monotonic() - start, 1)
        if arguments.pictures:
            page.locator("#ask").click()
            page.locator("#note-2 [data-part=drift]").wait_for()
            take_pictures(page, arguments.pictures)
            page = open_page(browser, url)
        no_line_end(page)
        found["first_token_s"] = round(page.evaluate(_FIRST_TOKEN, "#ask-0"), 2)
        written(page, 0)
        found["alone_per_s"], question = alone(page)
        page.locator("#ask").click()
        page.wait_for_timeout(1000)
        found["three_per_s"] = [written(page, pane)[1] for pane in range(3)]
        pages = [open_page(browser, url) for _ in range(arguments.visitors)]
        for each in pages:
            each.locator("#ask").click()
        found["visitors_first_token_s"] = [
            written(each, 0)[0] for each in pages
        ]
        browser.close()
    found["alone_undrawn_per_s"] = alone_undrawn(url, question)
    found["app_memory_gb"] = most_memory(pid)
    return found


def scorer_rate(run: str) -> float:
    """Tokens per second of `Scorer` on one prompt, the highest of three."""
    from keras_grow import load_causal_lm
    from keras_grow.comparison import Plan
    from keras_grow.evaluation import Scorer

    plan = Plan.load(Path(run))
    lm = load_causal_lm(plan.model, plan.dtype)
    decoder = Scorer(lm, batch_size=1, max_length=512).decoder
    rates = []
    for _ in range(4):
        seconds = []
        for tokens in (1, TOKENS + 1):
            start = time.perf_counter()
            decoder.generate([PROMPT], tokens, stop=())
            seconds.append(time.perf_counter() - start)
        rates.append(TOKENS / (seconds[1] - seconds[0]))
    return round(max(rates[1:]), 2)


def take_pictures(page: Any, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(2000)
    page.screenshot(path=folder / "compare.png")
    page.get_by_role("tab", name="See").click()
    page.locator("#see-blocks .kg-block").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=folder / "see.png", full_page=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of a comparison")
    parser.add_argument("--port", type=int, default=7899)
    parser.add_argument("--visitors", type=int, default=5)
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    start = time.monotonic()
    command = [sys.executable, "-m", "keras_grow.app", arguments.run]
    app = subprocess.Popen([*command, "--port", str(arguments.port)])
    try:
        found = measure(arguments, start, app.pid)
    finally:
        app.terminate()
        app.wait()
    found["scorer_per_s"] = scorer_rate(arguments.run)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

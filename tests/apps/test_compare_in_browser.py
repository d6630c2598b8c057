"""The first tab in a real browser: ask, stop, share, fail, and wait."""

import concurrent.futures
import json
import shutil
import urllib.request

import pytest
import slow_app
from browsing import answers
from browsing import ask
from browsing import says

from keras_grow import growth_disabled
from keras_grow import set_growths
from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.evaluation import generate

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
PROMPT = "the quick brown"


@pytest.fixture(scope="module")
def expected(run_folder):
    """What the three models answer, by KerasHub's own `generate`."""
    sft, growth = Plan.load(run_folder).methods
    grown = load_run(run_folder, growth)
    texts = {"grown": generate(grown, [PROMPT], 24)[0]}
    with growth_disabled(grown):
        texts["base"] = generate(grown, [PROMPT], 24)[0]
    texts["tuned"] = generate(load_run(run_folder, sft), [PROMPT], 24)[0]
    return texts


def settings(page, length=24):
    """Open the settings and choose a length."""
    page.locator("#settings button").first.click()
    page.wait_for_timeout(500)  # What is opened is filled in a little later.
    page.locator("#length input[type=number]").fill(str(length))
    page.locator("#length input[type=number]").press("Tab")


def test_three_models_answer_as_they_do_without_the_page(app, visit, expected):
    page = visit(app)
    assert "shared with the grown model" in page.inner_text("#pane-base")
    assert "a second model" in page.inner_text("#pane-tuned")
    assert "of new slices" in page.inner_text("#pane-grown")
    settings(page)
    # Every text that the first pane ever shows.
    page.evaluate(
        """() => { window.shown = new Set(); setInterval(() => window.shown.add(
        document.querySelector('#answer-base textarea').value), 5); }"""
    )
    ask(page, PROMPT)
    assert answers(page) == expected
    shown = page.evaluate("() => [...window.shown]")
    # A busy browser may draw few of them.
    assert {s for s in shown if s and s != expected["base"]}
    assert all(expected["base"].startswith(text) for text in shown)
    note = page.inner_text("#note-grown")
    assert "per second" in note
    assert "Drift from the base: " in note
    note = page.inner_text("#note-tuned")
    assert float(note.split("base: ")[1].split()[0]) != 0.0
    assert "Drift from the base: +0.00" in page.inner_text("#note-base")


def test_the_dial_runs_from_the_base_to_the_growth(
    app, visit, run_folder, expected
):
    grown = load_run(run_folder, Plan.load(run_folder).methods[1])
    set_growths(grown, {"growth_1": 0.5})
    half = generate(grown, [PROMPT], 24)[0]
    page = visit(app)
    settings(page)
    dial = page.locator("#dial input[type=number]")
    for scale, wanted in (("0", expected["base"]), ("0.5", half)):
        dial.fill(scale)
        dial.press("Tab")
        ask(page, PROMPT)
        assert answers(page) == {**expected, "grown": wanted}
        assert f"dial at {scale}" in page.inner_text("#note-grown")


def test_a_link_and_the_history_give_a_prompt_back(app, visit):
    page = visit(app)
    settings(page)
    page.get_by_label("random").check()
    ask(page, "hello & <b>world</b>")
    first = answers(page)
    page.locator("#make-link").click()
    page.wait_for_function(
        "document.querySelector('#link textarea').value.includes('prompt=')"
    )
    link = page.locator("#link textarea").input_value()
    assert "tuned=tiny%2FSFT-seed0&grown=tiny%2Fgrown-seed0" in link
    other = visit(app, link.removeprefix(app.url))
    other.wait_for_function(
        "document.querySelector('#prompt textarea').value.includes('<b>')"
    )
    other.locator("#ask").click()
    assert answers(other) == first
    other.reload()
    other.locator("#past button").first.click()
    earlier = other.locator("#history button", has_text="hello")
    earlier.wait_for()
    other.get_by_label("Prompt").fill("something else")
    earlier.click()
    assert answers(other) == first
    assert "<b>" in other.get_by_label("Prompt").input_value()


def test_a_stop_ends_the_answers_where_they_are(app, visit):
    page = visit(app)
    settings(page, 256)
    page.get_by_label("End the answer with its line").uncheck()
    ask(page, PROMPT)
    # The last of the three to begin: what has not begun is not scored.
    says(page, "note-grown", "Writing")
    page.locator("#stop").click()
    note = says(page, "note-base", "Stopped")
    tokens = int(note.split("Stopped. ")[1].split()[0])
    assert 0 < tokens < 256
    assert answers(page)["base"]


def test_what_models_write_is_shown_as_text(app, visit):
    page = visit(app)
    ask(page, "<img src=x onerror=alert(1)> <img>")
    answers(page)
    assert page.locator("#panes img, #panes b b").count() == 0
    ask(page, slow_app.ASKS_FOR_HTML)
    page.wait_for_function(
        "document.querySelector('#answer-grown textarea').value[0] === '<'"
    )
    assert set(answers(page).values()) == {slow_app.HTML}
    assert page.locator("#panes img, #panes b b").count() == 0
    assert page.title() == "keras_grow"


def test_hints_are_dark_enough_to_read(app, visit):
    page = visit(app)
    contrast = page.evaluate(
        """() => {
          const light = colour => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(
              v => (v /= 255) <= 0.04045 ? v / 12.92
                : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const hint = [...document.querySelectorAll('#prompt *')].filter(
            e => e.textContent.includes('Shift+Enter')).at(-1);
          return 1.05 / (light(getComputedStyle(hint).color) + 0.05);
        }"""
    )
    assert contrast >= 4.5


def test_no_prompt_is_an_error_in_words(app, visit):
    page = visit(app)
    page.locator("#ask").click()
    for pane in ("base", "tuned", "grown"):
        says(page, f"note-{pane}", "Error. Write a prompt first.")


def test_a_second_visitor_is_told_to_wait_and_then_answered(app, visit):
    first, second = visit(app), visit(app)
    settings(first, 256)
    ask(first, "does not forget")
    says(first, "note-base", "Writing")
    ask(second, PROMPT)
    says(second, "status", "1 prompt is before it")
    first.locator("#stop").click()
    assert all(answers(first).values())
    assert all(answers(second).values())
    says(second, "status", "Ready.")


def test_a_prompt_that_is_not_let_in_keeps_nobody_waiting(app, visit):
    # Out of the sliders' range: a link's own limits are the same.
    first = visit(app, "/?prompt=the+quick&top_k=5000&temperature=4&seed=7")
    settings(first)
    first.wait_for_function(
        "document.querySelector('#seed input')?.value === '7'"
    )
    assert first.locator("#temperature input").first.input_value() == "0.8"
    # What a link cannot do, a form that was tampered with can.
    first.route(
        "**/queue/join*",
        lambda route: route.continue_(
            post_data=route.request.post_data.replace('"greedy"', '"beam"')
        ),
    )
    first.locator("#ask").click()
    says(first, "note-grown", "Error. The prompt was not taken")
    second = visit(app)
    ask(second, PROMPT)
    assert all(answers(second).values())
    first.unroute("**/queue/join*")
    first.locator("#ask").click()
    assert all(answers(first).values())
    first.locator("#seed input").fill("-1")
    first.locator("#ask").click()
    says(first, "note-base", "Error. Choose a seed from 0")


def test_asking_twice_asks_once(app, visit):
    first, second = visit(app), visit(app)
    settings(first, 256)
    ask(first, "does not forget")
    says(first, "note-base", "Writing")
    first.locator("#ask").click()
    ask(second, PROMPT)
    says(second, "status", "1 prompt is before it")
    first.locator("#stop").click()
    assert all(answers(first).values())
    assert all(answers(second).values())
    says(first, "status", "Ready.")


def test_twenty_visitors_at_once_are_all_answered_in_turn(app):
    with urllib.request.urlopen(app.url + "/config") as response:
        config = json.load(response)
    # The one event of the page that waits for the models.
    (event,) = [
        dependency
        for dependency in config["dependencies"]
        if len(dependency["inputs"]) == 11 and len(dependency["outputs"]) == 7
    ]

    def visitor(number):
        session = f"visitor{number}"
        values = [None, None, [], PROMPT, "greedy", 0.8, 40, 8, number]
        values += [True, 1.0]
        body = {
            "data": values,
            "fn_index": event["id"],
            "session_hash": session,
        }
        request = urllib.request.Request(
            app.url + "/gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        ranks, done = [], None
        url = f"{app.url}/gradio_api/queue/data?session_hash={session}"
        with urllib.request.urlopen(url) as stream:
            for line in stream:
                if not line.startswith(b"data:"):
                    continue
                message = json.loads(line[5:])
                if message["msg"] == "estimation":
                    ranks.append(message["rank"])
                if message["msg"] == "process_completed":
                    done = message["output"]
                    break
        return ranks, done

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        found = list(pool.map(visitor, range(20)))
    assert all(done["data"][0] for _, done in found), found
    assert len({done["data"][0] for _, done in found}) == 1
    # Those who waited were told their place, from the end to the front.
    waited = [ranks for ranks, _ in found if len(ranks) > 1]
    assert len(waited) > 10
    assert all(ranks == sorted(ranks, reverse=True) for ranks in waited)
    assert max(map(max, waited)) > 10


def test_one_models_failure_is_its_own_and_a_killed_app_comes_back(
    visit, run_folder, start_app, tmp_path
):
    broken = tmp_path / "broken"
    shutil.copytree(run_folder, broken)
    weights = broken / "SFT-seed0" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    app = start_app(broken, tmp_path / "runs")
    page = visit(app, ready=False)
    ask(page, PROMPT)
    assert "did not load" in says(page, "note-tuned", "Error")
    says(page, "note-base", "Drift")
    says(page, "note-grown", "Drift")
    app.kill()
    growth = broken / "grown-seed0" / "growth.grow.safetensors"
    growth.write_bytes(growth.read_bytes()[:100])
    app.start()
    page = visit(app, ready=False)
    ask(page, PROMPT)
    assert "did not load" in says(page, "note-grown", "Error")
    says(page, "note-base", "Drift")
    page.get_by_role("tab", name="See").click()
    assert "SFT" in says(page, "see-table", "grown")

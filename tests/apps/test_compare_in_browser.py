"""The first tab in a real browser: ask, turn, chat and stop."""

import shutil

import pytest
import slow_app
from browsing import answers
from browsing import ask
from browsing import says
from browsing import settings
from browsing import text_of

from keras_grow import growth_disabled
from keras_grow import set_growths
from keras_grow.comparison import Plan
from keras_grow.comparison import load_run
from keras_grow.evaluation import generate

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
PROMPT = "the quick brown"
FOLD = 900


@pytest.fixture(scope="module")
def expected(run_folder):
    """What the models answer, by KerasHub's own `generate`."""
    sft, growth = Plan.load(run_folder).methods
    grown = load_run(run_folder, growth)
    texts = {"grown": generate(grown, [PROMPT], 24)[0]}
    set_growths(grown, {"growth_1": 0.5})
    texts["half"] = generate(grown, [PROMPT], 24)[0]
    with growth_disabled(grown):
        texts["base"] = generate(grown, [PROMPT], 24)[0]
    texts["tuned"] = generate(load_run(run_folder, sft), [PROMPT], 24)[0]
    return texts


def choose(page, index, label):
    """Choose the model of a pane."""
    page.locator(f"#model-{index} input").click()
    page.get_by_role("option", name=label).first.click()


def becomes(page, index, text):
    """Wait until a pane shows just this text."""
    page.wait_for_function(
        "([id, text]) => [...document.querySelectorAll(id)].at(-1)"
        "?.textContent === text",
        arg=[f"#answer-{index} .kg-text", text],
    )


def test_three_models_answer_above_the_fold_as_without_the_page(
    app, visit, expected
):
    page = visit(app, viewport={"width": 1280, "height": FOLD})
    settings(page)
    page.evaluate("window.scrollTo(0, 0)")
    ask(page, PROMPT)
    assert answers(page) == {
        name: expected[name] for name in ("base", "tuned", "grown")
    }
    for index in range(3):
        for part in ("answer", "ask"):  # The button is the last of a pane.
            box = page.locator(f"#{part}-{index}").bounding_box()
            assert box["y"] + box["height"] < FOLD
    dial = page.locator("#dial-2").bounding_box()
    assert dial["y"] + dial["height"] < FOLD
    assert "a second model" in page.inner_text("#pane-1")
    assert "of new slices" in page.inner_text("#pane-2")
    note = page.inner_text("#note-2")
    assert "the first after" in note
    assert "per second" in note
    # The tokens of the answer, each with its own drift to point at.
    tokens = page.locator("#answer-2 .kg-point")
    assert "".join(tokens.all_text_contents()) == expected["grown"]
    tokens.first.hover()
    assert "nats against the base" in page.inner_text("#answer-2 output")
    assert "+0.00" in page.inner_text("#note-0")
    # Word by word, the second answer out of the first, which it replaces.
    page.locator("#diff button").first.click()
    says(page, "difference", expected["grown"].split()[-1])
    for kept, text in (("ins", expected["base"]), ("del", expected["grown"])):
        words = page.evaluate(
            "kept => [...document.querySelector('#difference .kg-answer')"
            ".childNodes].filter(e => e.nodeName.toLowerCase() !== kept)"
            ".map(e => e.textContent).join('')",
            kept,
        )
        assert words == text.strip()
    assert page.locator("#difference ins, #difference del").count()
    assert "GB of memory" in page.inner_text("#status")
    # Whoever reads the screen is told of each answer once, at its end.
    told = page.locator("#kg-log p").all_text_contents()
    assert len(told) == 3
    for index, name in enumerate(("base", "tuned", "grown")):
        own = page.locator(f"#answer-{index} .kg-answer").get_attribute(
            "aria-label"
        )
        (line,) = (each for each in told if each.startswith(own))
        assert expected[name] in line
        assert "Done" in line


def test_the_dial_is_live_and_a_pane_comes_goes_and_is_asked_alone(
    app, visit, expected
):
    page = visit(app)
    settings(page)
    ask(page, PROMPT)
    answers(page)
    dial = page.locator("#dial-2 input[type=number]")
    for scale, wanted in (("0", "base"), ("0.5", "half")):
        dial.fill(scale)
        dial.press("Tab")
        becomes(page, 2, expected[wanted])
    assert "at 0.5" in says(page, "note-2", "Drift")
    page.locator("#away-1").click()
    page.locator("#pane-1").wait_for(state="hidden")
    page.locator("#add-pane").click()
    page.locator("#pane-1").wait_for()
    assert text_of(page, 1) == expected["tuned"]
    choose(page, 1, "Growths, mixed")
    # What another model wrote does not stay under the new one's name.
    says(page, "answer-1", "No answer yet")
    assert page.inner_text("#note-1").strip() == ""
    page.locator("#mixing button").first.click()
    mix = page.locator("#mix-0 input[type=number]")
    mix.fill("0.5")
    mix.press("Tab")
    page.locator("#ask-1").click()
    becomes(page, 1, expected["half"])
    choose(page, 1, "Growths, routed")
    page.locator("#ask-1").click()
    assert "%" in says(page, "note-1", "routed at")
    assert text_of(page, 1) in (expected["base"], expected["grown"])


def test_what_was_cut_goes_on_where_it_was(app, visit, expected):
    page = visit(app)
    settings(page, 8)
    assert not page.locator("#continue-0").is_visible()
    # A slow computer gets the last two updates before it has shown the first.
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    ask(page, PROMPT)
    short = answers(page)["base"]
    assert "Continue?" in page.inner_text("#note-0")
    page.locator("#continue-0").click()
    says(page, "note-0", "16 tokens")
    longer = text_of(page, 0)
    assert longer.startswith(short)
    assert expected["base"].startswith(longer)
    # And is there in full among the earlier prompts.
    page.locator("#past button").first.click()
    page.locator("#history button", has_text=PROMPT).click()
    page.wait_for_timeout(500)
    assert text_of(page, 0) == longer


def test_a_growth_file_is_uploaded_and_answers(
    app, visit, run_folder, expected
):
    page = visit(app)
    file = run_folder / "grown-seed0" / "growth.grow.safetensors"
    with page.expect_file_chooser() as chooser:
        page.locator("#add-growth").click()
    chooser.value.set_files(file)
    settings(page)
    page.wait_for_timeout(1500)
    choose(page, 1, "growth.grow.safetensors")
    ask(page, PROMPT)
    found = answers(page)
    assert found["tuned"] == found["grown"] == expected["grown"]


def test_a_chat_has_turns_in_the_familys_template(app, visit, run_folder):
    page = visit(app)
    page.locator("#chatting button").first.click()
    page.wait_for_timeout(500)
    page.locator("#chat input").check()
    for count, turn in enumerate(("the fox", "a dog"), 1):
        ask(page, turn)
        page.wait_for_function(
            "count => document.querySelectorAll('#answer-0 .kg-said').length "
            "=== count",
            arg=count,
        )
        answers(page)
    said = page.locator("#answer-0 .kg-said").all_text_contents()
    assert said == ["the fox", "a dog"]
    model = load_run(run_folder, Plan.load(run_folder).methods[1])
    prompt = "<start_of_turn>user\nthe fox<end_of_turn>\n<start_of_turn>model\n"
    with growth_disabled(model):
        first = generate(model, [prompt], 48, stop=())[0].strip()
    shown = page.locator("#answer-0 .kg-text").first.text_content()
    assert shown.split() == first.split()
    page.locator("#plain input").check()
    ask(page, slow_app.ASKS_FOR_HTML)
    answers(page)
    # Whatever is being written.
    settings(page, 200)
    ask(page, "the fox")
    says(page, "note-0", "Writing")
    # In the queue, as answers are: nothing of them comes after it.
    with page.expect_request("**/queue/join*"):
        page.locator("#new-chat").click()
    page.locator("#answer-0 .kg-said").first.wait_for(state="detached")
    page.wait_for_timeout(500)
    assert page.locator(".kg-said").count() == 0


def test_five_visitors_are_answered_in_turn_and_one_stops(app, visit):
    pages = [visit(app) for _ in range(5)]
    for page in pages:
        settings(page, 200)
        ask(page, PROMPT)
    # All of them write at once; none waits for another to end.
    for page in pages:
        says(page, "note-0", "Writing")
    assert all("Writing" in page.inner_text("#note-0") for page in pages)
    pages[0].locator("#stop").click()
    note = says(pages[0], "note-0", "Stopped by you")
    assert 0 < int(note.split("by you. ")[1].split()[0]) < 200
    for page in pages[1:3]:  # They leave, and are dropped.
        page.context.close()
    for page in pages[3:]:
        page.locator("#stop").click()
        assert answers(page)["base"]


def test_what_models_write_is_shown_as_text(app, visit):
    page = visit(app)
    ask(page, slow_app.ASKS_FOR_HTML)
    assert set(answers(page).values()) == {slow_app.HTML}
    assert page.locator("#panes img, #panes b b").count() == 0
    assert page.title() == "keras_grow"


def test_what_cannot_be_asked_is_an_error_in_words(app, visit):
    page = visit(app, "/?prompt=the+quick&top_k=5000&temperature=4&seed=7")
    settings(page)
    page.wait_for_function(
        "document.querySelector('#seed input')?.value === '7'"
    )
    assert page.locator("#temperature input").first.input_value() == "0.8"
    page.locator("#seed input").fill("-1")
    page.locator("#seed input").press("Tab")
    page.locator("#ask").click()
    says(page, "note-0", "Error. Choose a seed from 0")
    ask(page, " ")
    for index in range(3):
        says(page, f"note-{index}", "Error. Write a prompt first.")
    # What the page itself cannot send, a form that was tampered with can.
    page.route(
        "**/queue/join*",
        lambda route: route.continue_(
            post_data=route.request.post_data.replace('"greedy"', '"beam"')
        ),
    )
    ask(page, PROMPT)
    says(page, "note-2", "Error. The prompt was not taken")


def test_on_a_phone_a_swipe_brings_the_next_answer(app, visit):
    page = visit(app, viewport={"width": 390, "height": 844})
    boxes = [page.locator(f"#answer-{i}").bounding_box() for i in range(3)]
    assert all(box["y"] < 844 for box in boxes)
    assert boxes[0]["x"] < boxes[1]["x"] < 390 < boxes[2]["x"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#settings button").first.click()
    drift = page.locator("#drift input")
    drift.wait_for()
    assert not drift.is_checked()


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
    assert "did not load" in says(page, "note-1", "Error")
    says(page, "note-0", "Drift")
    says(page, "note-2", "Drift")
    app.kill()
    assert list(app.temporary.iterdir()) == []  # Nothing is left behind.
    growth = broken / "grown-seed0" / "growth.grow.safetensors"
    growth.write_bytes(growth.read_bytes()[:100])
    app.start()
    page = visit(app, ready=False)
    ask(page, PROMPT)
    assert "did not load" in says(page, "note-2", "Error")
    says(page, "note-0", "Drift")
    page.get_by_role("tab", name="See").click()
    assert "SFT" in says(page, "see-table", "grown")

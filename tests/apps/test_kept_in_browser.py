"""What a visitor's browser keeps for all tabs: earlier prompts and votes."""

import json
import re

import pytest
from browsing import answers
from browsing import ask
from browsing import says
from browsing import settings

pytest_plugins = ["serving"]
pytestmark = pytest.mark.no_backend
PROMPT = "the quick brown"


def test_votes_are_blind_and_are_exported_with_the_answers(app, visit):
    page = visit(app)
    ask(page, PROMPT)
    answers(page)
    page.locator("#blind button").first.click()
    for _ in range(2):
        page.locator("#next-pair").click()
        page.locator("#vote-left:not([disabled])").wait_for()
        assert "grown" not in page.inner_text("#blind-Left")
        page.locator("#vote-left").click()
        result = says(page, "blind-result", "Left was")
        assert "95%" in result
        page.locator("#vote-left[disabled]").wait_for()
    # What the browser keeps is there after a reload.
    page.reload()
    says(page, "status", "Ready.")
    page.locator("#past button").first.click()
    page.locator("#history button", has_text=PROMPT).wait_for()
    with page.expect_download() as download:
        page.locator(r"#answers\.jsonl").click()
    lines = download.value.path().read_text("utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["answer"] * 3 + ["vote"] * 2
    assert json.loads(lines[0])["prompt"] == PROMPT
    vote = json.loads(lines[-1])
    assert vote["vote"] == ("second" if vote["swapped"] else "first")
    assert vote["reference"]


def test_a_link_and_the_history_give_a_prompt_back(app, visit):
    page = visit(app)
    settings(page)
    page.get_by_label("random").check()
    ask(page, "hello & <b>world</b>")
    first = answers(page)
    page.locator("#make-link").click()
    page.wait_for_function(
        "document.querySelector('#link textarea')?.value.includes('prompt=')"
    )
    link = page.locator("#link textarea").input_value()
    assert "pane=tiny%2FSFT-seed0%401&pane=tiny%2Fgrown-seed0%401" in link
    other = visit(app, link.removeprefix(app.url))
    other.wait_for_function(
        "document.querySelector('#prompt textarea').value.includes('<b>')"
    )
    other.locator("#ask").click()
    assert answers(other) == first
    other.wait_for_function("localStorage.getItem('keras_grow_asked')")
    other.reload()
    other.locator("#past button").first.click()
    earlier = other.locator("#history button", has_text="hello")
    earlier.wait_for()
    other.locator("#prompt textarea").fill("something else")
    # Another model in a pane gives way to the one that was asked.
    chooser = other.locator("#model-1 input")
    asked = chooser.input_value()
    chooser.click()
    other.get_by_role("option", name="Base").first.click()
    says(other, "answer-1", "No answer yet")
    earlier.click()
    assert answers(other) == first
    other.wait_for_function(
        "asked => document.querySelector('#model-1 input').value === asked",
        arg=asked,
    )
    assert "<b>" in other.locator("#prompt textarea").input_value()


def test_two_tabs_of_one_browser_keep_what_was_asked_and_voted_in_both(
    app, visit
):
    page = visit(app)
    other = page.context.new_page()
    other.goto(app.url)
    says(other, "status", "Ready.")
    for each, prompt in ((page, "the fox"), (other, "a dog")):
        ask(each, prompt)
        answers(each)
        each.locator("#blind button").first.click()
        each.locator("#next-pair").click()
        each.locator("#vote-left:not([disabled])").click()
        said = says(each, "blind-result", "Left was")
    counts = re.findall(r"(\d+) (?:won|lost)", said)
    assert sum(map(int, counts)) == 2
    for each in (page, other):
        each.reload()
        says(each, "status", "Ready.")
        each.locator("#past button").first.click()
        for prompt in ("the fox", "a dog"):
            each.locator("#history button", has_text=prompt).wait_for()


def test_two_tabs_that_vote_at_the_same_moment_keep_both_votes(app, visit):
    page = visit(app)
    page.locator("#blind button").first.click()
    for _ in range(2):
        page.locator("#next-pair").click()
        page.locator("#vote-left:not([disabled])").wait_for()
        # The second one is written while another tab writes one of its own.
        page.evaluate(
            """() => {
              const [key, read] = ["keras_grow_votes", window.readKept];
              const found = read("votes");
              if (!found.length) return;
              const others = [{...found[0], prompt: "another tab's"}];
              localStorage.removeItem(key);
              let left = 1;
              window.readKept = name => {
                const found = read(name);
                if (name === "votes" && left-- > 0)
                  localStorage.setItem(key, JSON.stringify(others));
                return found;
              };
            }"""
        )
        page.locator("#vote-left").click()
        page.locator("#vote-left[disabled]").wait_for()
    page.wait_for_function(
        "JSON.parse(localStorage.getItem('keras_grow_votes')).length === 2"
    )


def test_a_tab_that_ends_its_answers_with_another_keeps_both(app, visit):
    page = visit(app)
    ask(page, "the fox")
    answers(page)
    page.wait_for_function("localStorage.getItem('keras_grow_asked')")
    # As if it were another tab's, written while this one writes its own.
    page.evaluate(
        """() => {
          const [key, read] = ["keras_grow_asked", window.readKept];
          const others = localStorage.getItem(key);
          localStorage.removeItem(key);
          let left = 1;
          window.readKept = name => {
            const found = read(name);
            if (name === "asked" && left-- > 0)
              localStorage.setItem(key, others);
            return found;
          };
        }"""
    )
    ask(page, "a dog")
    answers(page)
    page.locator("#past button").first.click()
    for prompt in ("the fox", "a dog"):
        page.locator("#history button", has_text=prompt).wait_for()

"""Answers in turn, with models of straw: no pane and no visitor waits long."""

import asyncio

import pytest
from keras_grow.app.answers import LIMITS
from keras_grow.app.answers import Answer
from keras_grow.app.answers import Question
from keras_grow.app.asking import Ask
from keras_grow.app.asking import Asked
from keras_grow.app.asking import Visitors
from keras_grow.app.asking import begin
from keras_grow.app.catalog import Choice
from straw_models import StrawModels
from straw_models import ended

from keras_grow.app import pane

pytestmark = pytest.mark.no_backend


def asked(*keys):
    return {index: Asked(Choice(key)) for index, key in enumerate(keys)}


def answers(models, *keys, turns=100, then=lambda ask: None):
    """The answers of one question, after so many turns of the owner."""

    async def run():
        ask = Ask(Question("hello"), asked(*keys))
        begin(models, ask)
        for _ in range(turns):
            if not models.owner._waiting:
                break
            models.owner.turn()
            then(ask)
        return [found async for found in ask.read()][-1]

    return ended(run())


def test_base_and_grown_are_one_batch_and_others_go_beside_it():
    models = StrawModels({"base": "abc", "grown": "defg", "tuned": "hi"})
    found = answers(models, "base", "tuned", "grown")
    assert models.batches == [["base", "grown"], ["tuned"]]
    assert [found[i].text for i in range(3)] == ["abc", "hi", "defg"]
    assert {found[i].state for i in range(3)} == {"done"}
    assert found[2].drift == (0.5,) * 4
    assert found[2].model == "grown"
    assert found[0].ended == "length"


def test_visitors_write_a_token_each_in_turn_and_one_who_left_is_dropped():
    models = StrawModels({"base": "abcdef"})
    models.pieces = 3  # A long prompt is read a piece a turn.
    visitors = Visitors()

    async def run():
        asks = []
        for name in "abcde":
            asks.append(visitors.begin(name, Question("hello"), asked("base")))
            begin(models, asks[-1])
        for _ in range(5 * 5):
            models.owner.turn()
        counts = [len(ask._answers[0].token_ids) for ask in asks]
        visitors.leave("a")
        for _ in range(5):
            models.owner.turn()
        return counts, len(models.owner._waiting), asks

    counts, waiting, asks = ended(run())
    assert counts == [2] * 5
    assert waiting == 4
    assert len(asks[0]._answers[0].token_ids) == 2
    assert visitors.now("a", 0) is None
    assert visitors.now("b", 0) is asks[1]


def test_tokens_that_come_at_once_are_shown_at_once():
    models = StrawModels({"base": "abcdefghijkl"})

    async def run():
        ask = Ask(Question("hello"), asked("base"))
        begin(models, ask)
        counts = []

        async def read():
            async for found in ask.read():
                counts.append(len(found[0].token_ids))

        reader = asyncio.create_task(read())
        # A first token, then bursts of four that take a moment each.
        for burst in (2, 4, 4, 2):
            await asyncio.sleep(0.15)
            for _ in range(burst):
                models.owner.turn()
                for _ in range(5):  # The reader may look, if it would.
                    await asyncio.sleep(0)
        while models.owner._waiting:
            models.owner.turn()
        await reader
        return counts

    counts = ended(run())
    assert counts[:3] == [0, 1, 2]
    # Not a look at the first token of a burst, and one at the others.
    assert not {3, 7}.intersection(counts)
    assert counts[-1] == 12


def test_what_loads_is_waited_for_and_the_others_go_on():
    models = StrawModels({"base": "abc", "slow": "xy"})
    said = []

    def then(ask):
        said.append(ask._answers[1].message)
        if ask._answers[0].state == "done" and not models.wanted["slow"].done():
            models.wanted["slow"].set_result(None)

    found = answers(models, "base", "slow", then=then)
    assert "Loads slow." in said
    assert [found[i].text for i in range(2)] == ["abc", "xy"]


def test_an_error_or_an_empty_pane_is_its_own():
    models = StrawModels(
        {"base": "abcd", "bad": "xyz", "torn": ""}, error=ValueError("torn")
    )
    found = answers(models, "base", "bad", "torn", "none")
    assert (found[0].state, found[0].text) == ("done", "abcd")
    # What was written before stays.
    bad = found[1]
    assert (bad.state, bad.message, bad.text) == ("error", "torn", "xy")
    assert (found[2].state, found[2].message) == ("error", "did not load")
    assert (found[3].state, found[3].message) == ("empty", "nobody here")


def test_a_stop_keeps_what_was_written_and_begins_nothing():
    models = StrawModels({"base": "abcd", "slow": "xy"})

    def then(ask):
        if len(ask._answers[0].token_ids) == 2:
            ask.stop()

    found = answers(models, "base", "slow", then=then)
    assert (found[0].state, found[0].text) == ("stopped", "ab")
    assert found[0].drift == (0.5, 0.5)
    assert found[1].message == "Stopped before it began."
    assert models.batches == [["base"]]


def test_a_new_question_takes_the_place_of_the_old_in_its_panes_alone():
    visitors, models = Visitors(), StrawModels({"base": "abc", "grown": "de"})

    async def run():
        first = visitors.begin("a", Question("one"), asked("base", "grown"))
        begin(models, first)
        models.owner.turn()
        second = visitors.begin(
            "a", Question("two"), {1: Asked(Choice("base"))}
        )
        begin(models, second)
        while models.owner._waiting:
            models.owner.turn()
        assert visitors.now("a", 1) is second
        assert visitors.now("a", 0) is first
        ends = [[a async for a in ask.read()][-1] for ask in (first, second)]
        visitors.begin("a", Question("three"), asked("base"))
        return ends, first

    (first, second), ask = ended(run())
    # The other pane of the first question goes on to its end.
    assert {i: a.text for i, a in first.items()} == {0: "abc"}
    assert first[0].drift == (0.5,) * 3
    assert {i: a.text for i, a in second.items()} == {1: "abc"}
    assert ask.left


def test_a_cleared_pane_waits_for_what_is_on_its_way_to_the_page():
    visitors = Visitors()

    async def run():
        ask = visitors.begin("a", Question("one"), asked("base", "grown"))
        reader, seen = ask.read(), []
        for panes in ([1], [0]):
            assert set(await anext(reader)) >= set(panes)
            clearing = asyncio.create_task(visitors.clear("a", panes))
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(clearing.done())  # The page has not got it yet.
            if panes == [1]:
                assert set(await anext(reader)) == {0}
                follows = asyncio.create_task(anext(reader))
                await clearing
                follows.cancel()
            else:
                visitors.end("a", ask)
                await clearing
            reader = ask.read()
        await visitors.clear("a", range(4))  # Nothing is left to wait for.
        return seen

    assert ended(run()) == [False, False]


def test_drift_is_not_measured_where_the_base_would_read_more():
    models = StrawModels({"grown": "abc"})
    models.cut = 7
    (found,) = answers(models, "grown").values()
    assert (found.state, found.drift) == ("done", ())
    assert "first 7 tokens of the prompt were cut off" in pane.note(found)


def test_notes_say_what_happened():
    done = Answer("done", "a b", token_ids=(1, 2), first=0.4, rate=8.0)
    for end, words in (
        ("end", "The model ended it."),
        ("stop", "at the first line break"),
        ("length", "Continue?"),
    ):
        written = Answer(**{**vars(done), "ended": end})
        assert words in pane.note(written)
    assert "the first after 0.4 s, then 8.0 per second" in pane.note(done)
    assert "Stopped by you" in pane.note(Answer("stopped", "a"))
    assert "It is empty" in pane.note(Answer("done", "\n"))


def test_drift_is_under_the_tokens_with_its_number():
    answer = Answer(
        "done", "\na <b>c", token_ids=(1, 2, 3), lengths=(1, 2, 7),
        drift=(0.0, -0.7, 2.0),
    )  # fmt: skip
    shown = pane.answer("Base", answer)
    assert 'class="kg-point kg-down2"' in shown
    assert 'data-words="-0.70 nats against the base: a"' in shown
    assert '"kg-point kg-up3"' in shown
    assert "&lt;b&gt;c</span>" in shown
    assert "+0.43</b> nats per token" in pane.note(answer)


def test_models_write_no_html_in_markdown():
    text = "**bold** <img src=x onerror=alert(1)>\n\n```\n<b>code</b>\n```\n"
    text += "[a](https://a.example) ![b](https://b.example/c.png) <p>d</p>"
    shown = pane.answer("Base", Answer("done", text), (), True)
    assert "<strong>bold</strong>" in shown
    assert "<pre><code>&lt;b&gt;code" in shown
    for tag in ("<img", "<a ", "<b>", "<p>d"):
        assert tag not in shown
    plain = pane.answer("Base", Answer("done", text), (), False)
    assert "**bold** &lt;img" in plain


def test_a_difference_is_by_word():
    shown = pane.difference("the red <fox> runs", "the brown <fox> runs on")
    assert (
        "<del>red</del><ins>brown</ins> &lt;fox&gt; runs<ins> on</ins>" in shown
    )


@pytest.mark.parametrize("name", LIMITS)
def test_the_page_a_link_and_a_question_have_the_same_limits(name):
    low, high = LIMITS[name]
    for value in (low, high):
        assert getattr(Question("hello", **{name: value}), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match="Choose a"):
            Question("hello", **{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": " \n"}, "Write a prompt"),
        ({"prompt": "a" * 4001}, "4,001 characters"),
        ({"sampler": "beam"}, "Choose a sampler"),
        ({"temperature": 0.0}, "Choose a temperature"),
        ({"top_k": None}, "Choose a top-k"),
        ({"length": 257}, "It is 257"),
        ({"seed": -1}, "Choose a seed"),
    ],
)
def test_what_cannot_be_asked_is_said_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        Question(**{"prompt": "hello", **settings})


def test_samplers_are_those_of_the_library():
    settings = {"prompt": "a", "temperature": 0.5, "top_k": 7, "seed": 3}
    assert Question(**settings).sampling().temperature == 0.0
    random = Question(**settings, sampler="random").sampling()
    assert (random.temperature, random.top_k, random.seed) == (0.5, None, 3)
    assert Question(**settings, sampler="top-k").sampling().top_k == 7

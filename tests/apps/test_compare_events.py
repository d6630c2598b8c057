"""Events of the first tab, with models of straw: settings, history, votes."""

import asyncio
import json
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest
from keras_grow.app.asking import Visitors
from keras_grow.app.catalog import MIXED
from keras_grow.app.catalog import Choice
from keras_grow.app.compare_events import CompareEvents
from keras_grow.app.history import PANES
from keras_grow.app.history import remembered
from keras_grow.app.links import follow_link
from keras_grow.app.links import link
from keras_grow.app.links import linked
from keras_grow.app.pane import CUT
from keras_grow.app.placing import offers
from starlette.datastructures import QueryParams
from straw_models import StrawModels
from straw_models import ended

from keras_grow.app import blind
from keras_grow.app import blind_tab

pytestmark = pytest.mark.no_backend
TEXTS = {"base": "abc", "grown": "defg", "grown 2": "hij", "tuned": "hi"}
VISITOR = SimpleNamespace(session_hash="me")
SETTINGS = ["hello", "greedy", 0.8, 40, 48, 0, False, True, False, ""]


def form(
    keys=("base", "grown", "tuned", "base"),
    dials=(1.0,) * 4,
    kept=(None,) * 4,
    opened=(True, True, True, False),
    settings=SETTINGS,
):
    mix = [["grown", "grown 2"], 0.5, 0.0, 0.0, 0.0]
    return [*kept, list(opened), *keys, *dials, *mix, False, *settings]


def run(models, *handlers):
    """What each handler showed, while the models take their turns."""

    async def all_of():
        shown = [[] for _ in handlers]

        async def read(at):
            # Gradio begins a later event once the earlier has shown something.
            while at and not shown[at - 1]:
                await asyncio.sleep(0)
            async for each in handlers[at]:
                shown[at].append(each)

        tasks = [asyncio.create_task(read(at)) for at in range(len(handlers))]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.001)
            if all(shown) and models.owner._waiting:
                models.owner.turn()
        for task in tasks:
            task.result()
        return shown

    return ended(all_of())


def kept(shown):
    """What the panes keep at the end, and what goes to the history."""
    *_, last, nothing = shown
    assert all("__type__" in own for own in nothing)
    return [own if "__type__" not in own else None for own in last[8:]]


def test_a_dial_that_is_turned_while_its_pane_is_answered_reaches_the_model():
    models = StrawModels(TEXTS)
    events = CompareEvents(models, Visitors())
    turned = form(dials=(1.0, 0.25, 1.0, 1.0))
    first, second = run(
        models,
        events.asking(range(PANES))(VISITOR, *form()),
        events.asking([1], "again")(VISITOR, *turned),
    )
    assert [c.dials for c in models.asked if c.key == "grown"] == [
        {"grown": 1.0},
        {"grown": 0.25},
    ]
    # The other panes go on, and all of it is one question of the history.
    *panes, latest = kept(first)
    assert [own and own["answer"]["text"] for own in panes] == [
        "abc", None, "hi", None,
    ]  # fmt: skip
    assert {own["answer"]["state"] for own in panes if own} == {"done"}
    again = kept(second)[-1]
    assert kept(second)[1]["choice"]["dials"] == {"grown": 0.25}
    for order in ((latest, again), (again, latest)):
        history = []
        for each in order:
            history = remembered(each, json.loads(json.dumps(history)))
        assert [sorted(item) for item in history] == [["0", "1", "2"]]


def test_what_goes_on_or_is_asked_again_takes_its_place_in_the_history():
    models = StrawModels(TEXTS)
    events = CompareEvents(models, Visitors())
    (shown,) = run(models, events.asking(range(PANES))(VISITOR, *form()))
    *panes, latest = kept(shown)
    history = remembered(latest, remembered(latest, []))
    assert len(history) == 2
    models.texts = {**TEXTS, "grown": "defghi"}
    (shown,) = run(
        models, events.asking([1], "continue")(VISITOR, *form(kept=panes))
    )
    longer = remembered(kept(shown)[-1], history)
    assert longer[0]["1"]["answer"]["text"] == "defghi"
    assert longer[0]["0"] == history[0]["0"]
    assert longer[1] == history[1]
    # An earlier prompt comes back with its settings, and can still go on.
    back = ended(events.from_history(VISITOR, 1, history, False, [True] * 4))
    assert back[: len(SETTINGS)] == SETTINGS
    texts, notes = back[len(SETTINGS) :][:4], back[len(SETTINGS) :][4:8]
    assert texts[1].count("kg-point") == len("defg")
    assert CUT in notes[1]


def test_an_earlier_prompt_comes_back_with_the_models_that_it_was_asked_with():
    models = StrawModels({**TEXTS, MIXED: "mix"})
    events = CompareEvents(models, Visitors())
    asked = form(("tuned", "grown", MIXED, "base"), (1.0, 0.25, 1.0, 1.0))
    (shown,) = run(models, events.asking(range(PANES))(VISITOR, *asked))
    history = remembered(kept(shown)[-1], [])
    opened = [True, False, False, False]
    back = ended(events.from_history(VISITOR, 0, history, False, opened))
    back = back[-18:]
    choosers, dials, mix = back[4:8], back[8:12], back[13:17]
    assert [each.value for each in choosers[:3]] == ["tuned", "grown", MIXED]
    assert [each.visible for each in dials[:3]] == [False, True, False]
    assert (dials[1].value, mix[0].value) == (0.25, 0.5)
    assert (back[12], back[17]) == ([True] * 3 + [False], ["grown", "grown 2"])
    # A pane that was not asked stays as it is, as does one without its model.
    assert isinstance(choosers[3], dict)
    del models.texts["tuned"]
    back = ended(events.from_history(VISITOR, 0, history, False, opened))
    gone, *there = (isinstance(each, dict) for each in back[-14:-11])
    assert gone
    assert not any(there)


def test_a_pane_of_another_model_does_not_keep_the_old_ones_answer():
    models = StrawModels(TEXTS)
    events = CompareEvents(models, Visitors())
    (shown,) = run(models, events.asking(range(PANES))(VISITOR, *form()))
    own = kept(shown)[1]

    def switch(*values):
        return ended(events.switched(1)(VISITOR, *values))

    for key in ("grown", None):  # The same one, or one that has gone.
        assert all("__type__" in v for v in switch(key, own, False))
    text, note, now = switch("tuned", own, False)
    assert "No answer yet" in text
    assert "Name of tuned" in text
    assert (note, now["answer"]["text"]) == ("", "")
    # A dial that is turned still asks what was asked before.
    keys = ("base", "grown 2", "tuned", "base")
    again = events.asking([1], "again")
    (shown,) = run(
        models, again(VISITOR, *form(keys, kept=[None, now, None, None]))
    )
    assert kept(shown)[1]["answer"]["text"] == "hij"
    # A chat goes on with the new model, and says who wrote until now.
    chat = {**own, "question": {**own["question"], "chat": True}}
    text, note, now = switch("tuned", chat, True)
    assert '<p class="kg-said">hello</p>' in text
    assert text.count("kg-point") == len("defg")
    assert "Written by grown" in note
    assert now is chat


def test_a_model_that_is_switched_while_it_writes_is_not_waited_for():
    models = StrawModels(TEXTS)
    events = CompareEvents(models, Visitors())
    switched = []

    async def switch():
        now = await events.switched(1)(VISITOR, "tuned", None, False)
        switched.append(now)
        yield []

    shown, _ = run(
        models, events.asking(range(PANES))(VISITOR, *form()), switch()
    )
    ((text, _, own),) = switched
    assert "No answer yet" in text
    assert own is None
    *panes, latest = kept(shown)
    assert sorted(latest["panes"]) == ["0", "2"]
    assert panes[1] is None


def test_a_link_gives_back_settings_panes_and_the_mix():
    settings = [*SETTINGS]
    settings[1], settings[4], settings[6] = "random", 200, True
    keys = ("tuned", MIXED, "base", "base")
    dials = (1.0, 1.0, 0.25, 1.0)
    query = link(*form(keys, dials, settings=settings))
    request = SimpleNamespace(query_params=QueryParams(query))
    assert follow_link(request) == settings
    assert linked(request, "pane") == [
        ("tuned", 1.0), (MIXED, 1.0), ("base", 0.25),
    ]  # fmt: skip
    assert linked(request, "mix") == [("grown", 0.5)]
    assert ("pane", "mixed@1") in parse_qsl(query)
    bad = QueryParams("pane=base@nan&pane=base@7&pane=base&mix=@&seed=-1")
    request = SimpleNamespace(query_params=bad)
    assert linked(request, "pane") == linked(request, "mix") == []
    assert not any(isinstance(each, int) for each in follow_link(request))


def test_a_mix_keeps_its_dials_where_models_come_and_go():
    models = StrawModels({"base": "", "grown new": "", "grown": ""})
    found = offers(
        models, ["base", "gone", "grown", "base"], ["x", "grown"], [0.3, 0.7]
    )
    assert [each.value for each in found[4:6]] == [0.0, 0.7]
    assert [each.label for each in found[4:6]] == ["grown new", "grown"]
    assert [each.visible for each in found[4:8]] == [True, True, False, False]
    assert found[-1] == ["grown new", "grown"]
    # A pane whose model has gone is without one: the others are not held up.
    assert found[1].constructor_args["value"] is None
    assert "value" not in found[0].constructor_args


ROWS = [SimpleNamespace(prompt=f"row {n}", response="r") for n in range(2)]


@pytest.fixture
def blindly(monkeypatch):
    """Function that asks for a pair, the first model on the left."""
    monkeypatch.setattr(blind_tab.rows, "validation", lambda folder: ROWS)
    monkeypatch.setattr(blind_tab.random, "random", lambda: 0.9)
    models = StrawModels({**TEXTS, MIXED: "mix"})
    ask = blind_tab.asking(CompareEvents(models, Visitors()))

    def pair(votes=(), first=0, second=1, **values):
        (shown,) = run(
            models, ask(VISITOR, list(votes), first, second, *form(**values))
        )
        return shown[-1][-1] or shown[-1][0]

    pair.models = models
    return pair


def test_votes_count_once_for_each_pair_of_models_and_row(blindly):
    votes = None
    for _ in range(2):
        *_, votes, _, _, _, _ = blind_tab.vote(
            "left", blindly(votes or ()), votes
        )
    assert {vote["prompt"] for vote in votes} == {"row 0", "row 1"}
    assert "No row is left" in blindly(votes)
    assert blind_tab.vote("left", None, votes)[1] != votes
    # The other way round it is the same pair; with another dial it is not.
    assert "No row is left" in blindly(votes, 1, 0)
    other = blindly(votes, dials=(1.0, 0.5, 1.0, 1.0))
    assert other["choices"][1] == {"key": "grown", "dials": {"grown": 0.5}}
    (line,) = blind.tally(votes).splitlines()
    assert line.startswith("grown against base: 0 won, 0 equal, 2 lost")
    turned = {**votes[0], "first": "grown", "second": "base"}
    (line,) = blind.tally([*votes, turned]).splitlines()
    assert "grown against base: 1 won, 0 equal, 2 lost" in line


def test_a_pair_that_cannot_be_asked_is_said_in_words(blindly):
    assert "different models" in blindly(keys=("base", "base", "tuned", "base"))
    assert "open panes" in blindly(second=3)
    settings = [*SETTINGS]
    settings[5] = None
    assert "Choose a seed" in blindly(settings=settings)


def test_a_mix_is_voted_on_with_its_dials(blindly):
    assert blindly(keys=("base", MIXED, "tuned", "base"))["second"] == MIXED
    mix = {"grown": 0.5, "grown 2": 0.0}
    assert Choice(MIXED, mix) in blindly.models.asked

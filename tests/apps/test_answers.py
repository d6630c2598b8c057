"""Three answers in turn, with models of straw: no pane shares a fate."""

import threading

import pytest
from keras_grow.app.answers import LIMITS
from keras_grow.app.answers import Answer
from keras_grow.app.answers import Question
from keras_grow.app.answers import answer
from keras_grow.app.models import PANES
from keras_grow.app.models import Part
from keras_grow.app.streamers import Unavailable

from keras_grow.app import answers as answers_module
from keras_grow.app import words

pytestmark = pytest.mark.no_backend


class StrawStream:
    """Writes its words one a step, then may break."""

    def __init__(self, words, error=None):
        self.words, self.error = list(words), error
        self.text, self.token_ids, self.finished, self.cut = "", [], None, 0

    def __next__(self):
        if self.error and len(self.token_ids) == 2:
            raise self.error
        self.token_ids.append(len(self.token_ids))
        self.text += self.words[len(self.token_ids) - 1]
        if len(self.token_ids) == len(self.words):
            self.finished = "length"
        return self.text


class StrawModels:
    """Panes that answer, break, load or are empty."""

    def __init__(self, **streams):
        self.streams = streams
        self.parts = {name: Part("ready", "") for name in PANES}
        self.opened = []

    def ready(self, pane):
        stream = self.streams.get(pane)
        if stream is None:
            self.parts[pane] = Part("empty", "nobody here")
            raise Unavailable("nobody here")
        return True

    def stream(self, pane, *arguments, **settings):
        self.opened.append((pane, arguments))
        return self.streams[pane]

    def drift(self, pane, prompt, token_ids, dial):
        return float(len(token_ids))


def run(models, question=None, stopped=None):
    question = question or Question("hello")
    return list(answer(models, question, stopped or threading.Event()))


def test_panes_write_a_token_each_in_turn():
    words = {name: StrawStream("abc") for name in PANES}
    order = []
    for stream in words.values():
        step = stream.__class__.__next__
        stream.step = step
    for answers in answer(
        StrawModels(**words), Question("hello"), threading.Event()
    ):
        order.append(tuple(answers[name].tokens for name in PANES))
    assert order[:4] == [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1)]


def test_an_error_and_an_empty_pane_leave_the_others_alone():
    models = StrawModels(
        base=StrawStream("abcd"), tuned=StrawStream("xyz", ValueError("torn"))
    )
    last = run(models)[-1]
    assert (last["base"].state, last["base"].text) == ("done", "abcd")
    assert last["base"].drift == 4.0
    assert (last["tuned"].state, last["tuned"].message) == ("error", "torn")
    assert last["tuned"].text == "xy"
    assert last["tuned"].drift is None
    assert last["grown"].state == "empty"
    assert last["grown"].message == "nobody here"


def test_a_stop_keeps_what_was_written():
    stopped = threading.Event()
    found = None
    for found in answer(
        StrawModels(base=StrawStream("abcd")), Question("hello"), stopped
    ):
        if found["base"].tokens == 2:
            stopped.set()
    assert (found["base"].state, found["base"].text) == ("stopped", "ab")
    assert found["base"].drift == 2.0


def test_a_stop_before_the_turn_computes_nothing():
    stopped = threading.Event()
    stopped.set()
    models = StrawModels(base=StrawStream("abcd"))
    last = run(models, stopped=stopped)[-1]
    assert models.opened == []
    assert last["base"].message == "Stopped before it began."


def test_a_pane_that_loads_is_waited_for(monkeypatch):
    models = StrawModels(base=StrawStream("ab"))
    looks = iter([False, False, True, True])
    ready = models.ready
    models.ready = lambda pane: next(looks) if pane == "base" else ready(pane)
    models.parts["base"] = Part("loading", "Loads the weights.")
    monkeypatch.setattr(answers_module, "_PAUSE", 0.0)
    states = [answers["base"] for answers in run(models)]
    assert states[0].message == "Loads the weights."
    assert states[-1].text == "ab"


def test_a_pane_that_loads_beside_one_that_is_done_is_not_waited_for_hotly(
    monkeypatch,
):
    models = StrawModels(base=StrawStream("ab"), tuned=StrawStream("x"))
    looks, pauses = iter([False] * 5 + [True]), []
    ready = models.ready
    models.ready = lambda pane: next(looks) if pane == "tuned" else ready(pane)
    monkeypatch.setattr(answers_module.time, "sleep", pauses.append)
    last = run(models)[-1]
    assert (last["base"].text, last["tuned"].text) == ("ab", "x")
    # All rounds but the first, after which the base had more to write.
    assert len(pauses) == 4


def test_an_answer_keeps_the_name_of_the_model_that_wrote_it():
    models = StrawModels(base=StrawStream("ab"))
    models.parts["base"] = Part("ready", "the first")
    found = []
    for panes in answer(models, Question("hello"), threading.Event()):
        models.parts["base"] = Part("ready", "the second")
        found.append(panes["base"])
    assert {each.model for each in found} == {"the first"}
    assert "Written by the first." in words.pane_note(found[-1])


def test_an_answer_that_ends_at_once_is_said_to_be_empty():
    note = words.pane_note(Answer("done"))
    assert "The answer is empty." in note
    assert "tokens" not in note


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

"""The models behind the page: loaded at once, in turn, and each its own."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from keras_grow.app.catalog import BASE
from keras_grow.app.catalog import MIXED
from keras_grow.app.catalog import Choice
from keras_grow.app.catalog import Unavailable
from keras_grow.app.growths import Growths
from keras_grow.app.models import Models
from keras_grow.app.runs import Entry

import keras_grow
from keras_grow import comparison
from keras_grow.app import models as models_module
from keras_grow.evaluation import streaming
from keras_grow.growth.state import ModelState

pytestmark = pytest.mark.no_backend


class StrawRuns:
    """Fine-tuned models by key."""

    model, dtype, given = "tiny", "float32", None

    def __init__(self, folder, names):
        method = {"kind": "sft", "learning_rate": 1e-3}
        self.found = {
            name: Entry(
                name, name, folder, folder / name, {**method, "name": name}, 0
            )
            for name in names
        }

    def entries(self):
        return list(self.found.values())

    def entry(self, key):
        return self.found.get(key)


class StrawStreamer:
    """Says which model it is."""

    def __init__(self, lm, max_length):
        self.lm = lm

    one_at_a_time = False

    max_length = 10

    def encode(self, prompt):
        return prompt.split()

    def together(self, prompt, length, states, sampling, stop, begun):
        return f"{self.lm.name} {length}" if begun else self.lm.name


@pytest.fixture
def models(tmp_path, monkeypatch):
    models = Models(StrawRuns(tmp_path, ["one", "two", "three", "torn"]))
    lm = SimpleNamespace(name="base")

    def load_run(folder, method, seed):
        if method.name == "torn":
            raise ValueError("half a file")
        return SimpleNamespace(name=method.name)

    def submit(function, *arguments):
        """At once, in this thread."""
        future = Future()
        try:
            future.set_result(function(*arguments))
        except ValueError as error:
            future.set_exception(error)
        return future

    monkeypatch.setattr(keras_grow, "load_causal_lm", lambda *_: lm)
    monkeypatch.setattr(comparison, "load_run", load_run)
    monkeypatch.setattr(streaming, "Streamer", StrawStreamer)
    blocks = SimpleNamespace(blocks=[1, 2])
    monkeypatch.setattr(ModelState, "of", lambda lm: blocks)
    monkeypatch.setattr(models_module, "warm", lambda *_: iter(()))
    monkeypatch.setattr(models_module, "bytes_of", lambda lm: 4_000_000)
    monkeypatch.setattr(models, "_prepare", SimpleNamespace(submit=submit))
    return models


def load(models, *keys):
    for key in keys:
        models.want(key, again=True)
    while models.owner._waiting:
        models.owner.turn()
    return [models.part(key).state for key in keys]


def name(models, key):
    return models.together([Choice(key)], "hello", 4).whole


def test_a_model_answers_as_itself_once_it_is_loaded(models):
    models.want(BASE)
    assert load(models, "one", "two") == ["ready", "ready"]
    assert [name(models, key) for key in (BASE, "one", "two")] == [
        "base", "one", "two",
    ]  # fmt: skip
    assert models.num_blocks == 2
    assert "4.0 MB" in models.part("one").memory


def test_the_model_asked_least_lately_makes_room(models):
    load(models, BASE, "one", "two")
    models.check("one")
    assert load(models, "three") == ["ready"]
    assert models.part("two").state == "absent"
    with pytest.raises(Unavailable, match="two had to make room"):
        models.check("two")
    assert name(models, "one") == "one"
    assert load(models, "two") == ["ready"]


def test_a_failure_is_said_and_tried_again(models, monkeypatch):
    assert load(models, BASE, "torn", "one") == ["ready", "failed", "ready"]
    with pytest.raises(Unavailable, match="torn did not load"):
        models.check("torn")
    monkeypatch.setattr(
        comparison, "load_run", lambda *_: SimpleNamespace(name="mended")
    )
    assert load(models, "torn") == ["ready"]
    assert name(models, "torn") == "mended"


def test_without_a_base_nothing_answers_and_all_say_why(models, monkeypatch):
    def fail(*_):
        raise OSError("no such preset")

    monkeypatch.setattr(keras_grow, "load_causal_lm", fail)
    assert load(models, BASE, "one") == ["failed", "failed"]
    assert (
        "The base model tiny did not load. no such" in models.part(BASE).message
    )
    assert "no such preset" in models.part("one").message


def test_a_key_that_is_not_there_is_no_model(models):
    with pytest.raises(Unavailable, match="No such model"):
        models.needs(Choice("../secret"))


def test_an_answer_goes_on_as_far_as_its_model_reads_and_no_further(models):
    load(models, BASE)
    base = [Choice(BASE)]
    rest = models.together(base, "a b", 4, begun=[1, 2, 3, 4, 5])
    assert rest.whole == "base 3"
    with pytest.raises(ValueError, match=r"cannot go on.* 10 tokens"):
        models.together(base, "a b", 4, begun=[1] * 8)


def test_models_that_load_at_the_same_time_are_no_more_than_may_stay(
    models, monkeypatch
):
    load(models, BASE, "one")
    late = []

    def submit(*arguments):
        late.append(Future())
        return late[-1]

    monkeypatch.setattr(models, "_prepare", SimpleNamespace(submit=submit))
    load(models, "two", "three")
    for future in late:
        future.set_result(SimpleNamespace(name="late"))
    load(models)
    ready = [k for k in models.runs.found if models.part(k).state == "ready"]
    assert ready == ["two", "three"]


def test_what_is_chosen_and_has_gone_is_no_error(models):
    models.prepare("../secret")
    models.prepare(MIXED)
    assert load(models) == []
    assert models.part(MIXED).state == "absent"
    with pytest.raises(Unavailable, match="No such model"):
        models.needs(Choice(MIXED, {"gone": 0.5}))


def test_a_growth_that_cannot_be_loaded_leaves_the_others(monkeypatch):
    loaded = []
    monkeypatch.setattr(
        keras_grow, "load_growth", lambda lm, file, name: loaded.append(file)
    )
    monkeypatch.setattr(keras_grow, "remove_growth", lambda *_: None)
    monkeypatch.setattr(keras_grow, "set_growths", lambda *_: None)
    monkeypatch.setattr(keras_grow, "growth_report", lambda _: "wider")
    growths = Growths(SimpleNamespace(lm=None))
    for key in "abcd":
        assert growths.make_room() == []
        # The first alone: a report is of all that the model has.
        assert growths.load(key, key) == ("wider" if key == "a" else "")
    growths.scales({"a": 1.0}, {})
    # Who makes room is known before the file is read, which may be torn.
    assert growths.make_room() == ["b"]
    assert list(growths.names) == ["c", "d", "a"]

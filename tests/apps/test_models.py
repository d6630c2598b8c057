"""A pane never answers with another model than the one chosen for it."""

import dataclasses

import pytest
from keras_grow.app.models import Models
from keras_grow.app.runs import Entry
from keras_grow.app.streamers import Streamers
from keras_grow.app.streamers import Unavailable

from keras_grow import comparison
from keras_grow.app import models as models_module
from keras_grow.evaluation import streaming

pytestmark = pytest.mark.no_backend


def entry(folder, name):
    method = {"name": name, "kind": "sft", "learning_rate": 1e-3}
    return Entry(name, name, folder, folder / name, method, 0)


@dataclasses.dataclass
class StrawRuns:
    """Fine-tuned models by key."""

    found: dict

    def entry(self, key):
        return self.found.get(key)


class StrawStreamer:
    """Says which model it is."""

    def __init__(self, lm, max_length):
        self.lm = lm

    def stream(self, growth, scale=None):
        return iter([self.lm])


@pytest.fixture
def models(tmp_path, monkeypatch):
    runs = StrawRuns({name: entry(tmp_path, name) for name in ("one", "two")})
    models = Models(runs)
    models._wanted = {"tuned": runs.found["one"], "grown": None}
    monkeypatch.setattr(streaming, "Streamer", StrawStreamer)
    monkeypatch.setattr(models_module, "_warm", lambda *_: None)
    monkeypatch.setattr(models_module, "_bytes", lambda lm: 0)
    return models


def load(models, monkeypatch, while_loading=lambda: None):
    """What one round of the loading thread does for the fine-tuned model."""

    def load_run(folder, method, seed):
        while_loading()
        return method.name

    monkeypatch.setattr(comparison, "load_run", load_run)
    models._try("tuned", models._wanted["tuned"], models._load_tuned)


def test_a_model_chosen_while_another_loads_is_waited_for(models, monkeypatch):
    load(models, monkeypatch, lambda: models.choose("tuned", "two"))
    assert not models.ready("tuned")
    assert models.parts["tuned"].message == "Loads two."
    load(models, monkeypatch)
    assert models.ready("tuned")
    assert next(models.stream("tuned")) == "two"


def test_a_choice_that_is_taken_back_while_it_loads_is_loaded_again(
    models, monkeypatch
):
    load(models, monkeypatch)
    models.choose("tuned", "two")
    load(models, monkeypatch, lambda: models.choose("tuned", "one"))
    assert not models.ready("tuned")
    # What the thread looks at before it sleeps.
    assert "tuned" not in models._loaded
    load(models, monkeypatch)
    assert models.ready("tuned")
    assert next(models.stream("tuned")) == "one"


def test_an_answer_ends_where_its_model_is_taken_out():
    streamers = Streamers()
    streamers.put("base", StrawStreamer("first", 8))
    stream = streamers.stream("base", growth=True)
    streamers.take_out("base")
    with pytest.raises(Unavailable, match="Another model was chosen"):
        next(stream)
    streamers.put("base", StrawStreamer("second", 8))
    with pytest.raises(Unavailable, match="Another model was chosen"):
        next(stream)
    assert next(streamers.stream("base", growth=True)) == "second"

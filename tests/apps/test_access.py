"""A training is changed by whoever started it, or sits at the machine."""

from types import SimpleNamespace

import pytest
from keras_grow.app.access import may_change
from keras_grow.app.access import visitor
from keras_grow.app.trainer import Trainer
from keras_grow.app.training_folders import Note
from keras_grow.app.training_folders import name_of
from keras_grow.app.training_folders import write_note
from keras_grow.app.trainings_panel import PanelEvents

pytestmark = pytest.mark.no_backend
NOTE = Note("mine", "ann")


def request(host="192.168.0.7", username=None):
    return SimpleNamespace(
        username=username, client=SimpleNamespace(host=host), session_hash="me"
    )


@pytest.mark.parametrize(
    ("who", "key", "may"),
    [
        (request(), "ann", True),
        (request(), "bob", False),
        (request(), "", False),
        (request("127.0.0.1"), "bob", True),
        (request("::1"), "bob", True),
        (request("not an address"), "bob", False),
        (request(username="ann"), "", True),
        # With a login a name is what counts, wherever a request comes from and
        # whatever key it brings.
        (request(username="bob"), "ann", False),
        (request("127.0.0.1", "bob"), "ann", False),
    ],
)
def test_a_training_is_its_owners_or_of_whoever_is_at_the_machine(
    who, key, may
):
    assert may_change(who, key, NOTE) == may
    assert visitor(who, key) == (who.username or key)


def test_nobodys_training_is_not_everybodys():
    assert not may_change(request(), "", Note("old"))
    assert not may_change(request(), "bob", None)


@pytest.fixture
def panel(tmp_path):
    """The handlers of a list that has one training, of ann's."""
    own = tmp_path / "g_freeze_2026-11-25_16-25-01"
    own.mkdir()
    (own / "plan.json").touch()
    write_note(own, NOTE)
    trainer = Trainer(tmp_path, "model", "float32")
    trainer.go_on = lambda folder, owner: trainer.gone_on.append(owner)
    trainer.gone_on = []
    return SimpleNamespace(
        own=own, trainer=trainer, events=PanelEvents(trainer)
    )


def test_a_stranger_cannot_rename_go_on_with_or_delete_a_training(panel):
    name = panel.own.name
    said = [
        panel.events.keep(request(), name, "theirs", "", "bob")[0],
        panel.events.resume(request(), name, "bob"),
        panel.events.remove(request(), name, "bob")[0],
    ]
    assert all("Only who started" in each for each in said)
    assert (name_of(panel.own), panel.trainer.gone_on) == ("mine", [])


def test_the_owner_can_rename_go_on_with_and_delete_it(panel):
    name = panel.own.name
    assert "Saved" in panel.events.keep(request(), name, "new", "", "ann")[0]
    assert name_of(panel.own) == "new"
    panel.events.resume(request(username="ann"), name, "other")
    assert panel.trainer.gone_on == ["ann"]
    assert "Deleted" in panel.events.remove(request("127.0.0.1"), name, "")[0]
    assert not panel.own.exists()

"""What the Train tab asks for and says: lessons, forecasts, time left."""

import json
from types import SimpleNamespace

import pytest
from keras_grow.app.forecast import duration
from keras_grow.app.forecast import sentence
from keras_grow.app.lesson import PRESETS
from keras_grow.app.lesson import Lesson
from keras_grow.app.runs import Runs
from keras_grow.app.train_form import look
from keras_grow.app.train_form import settings
from keras_grow.app.train_words import progress
from keras_grow.app.train_words import shown
from keras_grow.app.train_words import thinned
from keras_grow.app.train_words import upload
from keras_grow.app.training_status import Account
from keras_grow.app.training_status import Clock
from keras_grow.app.training_status import TrainingStatus
from keras_grow.app.uploads import check

from keras_grow.comparison import Method
from keras_grow.comparison import Plan
from keras_grow.comparison.events import Begun
from keras_grow.comparison.events import Ended
from keras_grow.comparison.events import Failed
from keras_grow.comparison.events import Resumed
from keras_grow.comparison.events import Scored
from keras_grow.comparison.events import Shortened
from keras_grow.comparison.events import Updated

pytestmark = pytest.mark.no_backend
PAIRS = [{"prompt": f"{n} + 1 =", "response": f" {n + 1}"} for n in range(20)]
ROWS = "".join(json.dumps(row) + "\n" for row in PAIRS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "../sft"}, "Choose a method"),
        ({"layers": -1}, "Choose layers"),
        ({"factor": 1}, "Choose factor"),
        ({"updates": 0}, "Choose updates"),
        ({"learning_rate": float("nan")}, "Choose learning rate"),
        ({"retention": "/etc/passwd"}, "old skill"),
    ],
)
def test_an_impossible_lesson_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        Lesson(**changed)


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text(ROWS, "utf-8")
    return check(str(tmp_path / "rows.jsonl"))


def test_presets_are_settings_for_the_rows_at_hand(rows):
    method, anchored, layers, _, updates, *_ = settings("careful", rows)
    # Five passes over 16 rows, 8 at a time.
    assert (method, anchored, layers, updates) == ("g_freeze_up", True, 0, 10)
    assert settings("quick", None)[4] == Lesson().updates
    # No more blocks than there are.
    assert [settings("quick", None, n)[2] for n in (0, 3, 18)] == [10, 3, 10]
    assert PRESETS["quick"].updates(100_000) == PRESETS["quick"].most


def test_updates_that_were_chosen_stay_where_the_split_is_changed(
    rows, tmp_path
):
    models = SimpleNamespace(
        num_blocks=3, runs=Runs(None, tmp_path / "made", "m", "float32")
    )
    file = str(tmp_path / "rows.jsonl")
    reading = [None, None, "gemma", 0.5, "careful"]
    chosen = settings("careful", rows)
    *_, layers, updates, said = look(models, file, rows, *reading, *chosen)
    assert (layers, updates) == (0, 6)  # Five passes over ten rows.
    assert said.count("passes over 10 rows")
    chosen[2], chosen[4] = 10, 77
    *_, layers, updates, _ = look(models, file, rows, *reading, *chosen)
    assert (layers, updates) == (3, 77)


def test_a_lesson_with_a_text_to_hold_to_is_a_plan(rows, tmp_path):
    long = {"prompt": "a" * 1500, "response": "b"}
    (tmp_path / "long.jsonl").write_text(ROWS + json.dumps(long), "utf-8")
    found = check(str(tmp_path / "long.jsonl"))
    assert "Rows are cut to 256 tokens" in upload(found)
    assert "cut to" not in upload(rows)
    plan = Lesson("lora", anchored=True).write(tmp_path, found, "m", "float32")
    (method,) = plan.methods
    assert (method.name, method.anchor, method.layers) == ("LoRA", 1.0, None)
    assert (plan.sequence_length, plan.too_long) == (256, "cut_prompt")
    assert plan.anchor_text == str(tmp_path / "anchor.jsonl")


PLAN = Plan(
    "m", "t", (Method("g", "g_freeze_up", 1e-3),), updates=8, evaluations=2
)
# Three seconds to load, four to score the base, then updates of 2 s with the
# first at 5; pauses of 6.
TIMES = [
    (100.0, Begun("load")),
    (103.0, Begun("measure", 0, 2)),
    (107.0, Begun("train")),
    (112.0, Updated(1, 3.0, 5.0)),
    (114.0, Updated(2, 2.5, 2.0)),
    (118.0, Updated(4, 2.0, 2.0)),
    (118.0, Begun("measure", 0, 2)),
    (124.0, Begun("train")),
    (126.0, Updated(5, 1.9, 2.0)),
]


def clock(until):
    found = Clock(PLAN)
    for time, event in TIMES:
        if time <= until:
            found.take(time, event)
    return found


def test_the_time_left_counts_measurements():
    assert clock(111.0).left(111.0) is None
    # Before any pause, one is taken to last as the start did: seven seconds.
    assert clock(114.0).left(114.0) == pytest.approx(6 * 2.0 + 2 * 7.0)
    # Inside a pause it goes down.
    found = clock(118.5)
    assert found.left(118.5) - found.left(121.5) == pytest.approx(3.0)
    assert clock(126.0).left(126.0) == pytest.approx(3 * 2.0 + 6.0)


def account(*events):
    found = Account(PLAN, TrainingStatus("running", name="mine", owner="ann"))
    for event in events:
        found.take(0.0, event)
    return found.status(0.0)


def test_events_become_what_the_page_shows():
    row = {"method": "g", "seed": 0, "step": 0, "scores": {"new/loss": 3.0}}
    now = account(
        Begun("measure", 1, 3),
        Scored(row),
        Shortened(11, 0, 1, 256),
        Updated(2, 1.5, 1.0),
    )
    assert (now.losses, now.rows) == (((2, 1.5),), (row,))
    said = progress(now, "ann")
    assert "Your training, mine: Measuring new skill and old: 1 of 3." in said
    assert "Of 11 rows" in said
    assert "Another" in progress(now, "bob")
    for event, state, words in (
        (Ended(8, False), "done", "Done. mine is kept"),
        (Ended(3, True), "done", "Stopped after 3 updates"),
        (Ended(0, True), "stopped", "nothing was learned"),
        (Failed("No room."), "failed", "No room."),
    ):
        now = account(event)
        assert now.state == state
        assert words in progress(now)
    assert account(Resumed(4)).step == 4


def test_a_training_to_come_is_foretold_from_those_before(rows, tmp_path):
    runs = Runs(None, tmp_path, "m", "float32")
    said = sentence(Lesson(updates=10), rows, runs)
    assert said.startswith("5 passes over 16 rows. How long")
    own = tmp_path / "g_freeze_1"
    (own / "g-seed0").mkdir(parents=True)
    (own / "plan.json").write_text(PLAN.to_json(), "utf-8")
    (own / "results.jsonl").touch()
    done = {
        "learning_rate": 1e-3,
        "trainable_parameters": 5,
        "seconds": 16.0,
        "peak_bytes": 5_100_000_000,
    }
    (own / "g-seed0" / "done.json").write_text(json.dumps(done), "utf-8")
    said = sentence(Lesson(updates=100), rows, runs)
    # Of this one it is only known that an update took two seconds.
    assert said == (
        "50 passes over 16 rows, about 3 minutes and some measurements, 5 GB."
    )
    lines = [f"{time} {event.to_json()}\n" for time, event in TIMES]
    (own / "events.txt").write_text("".join(lines), "utf-8")
    said = sentence(Lesson(updates=100), rows, runs)
    # 7 to start, 100 updates of 2, 4 pauses of 6.
    assert said == "50 passes over 16 rows, about 4 minutes, 5 GB."
    # Of another method it is a guess, and its memory is not even that.
    said = sentence(Lesson("sft", updates=100), rows, runs)
    assert said == (
        "50 passes over 16 rows, about 4 minutes if an update takes as long "
        "as one of G-Freeze-Up did here."
    )
    assert (duration(30), duration(7200)) == ("30 s", "2.0 hours")


def test_a_long_curve_is_drawn_with_few_points():
    losses = tuple((step, 1.0 / step) for step in range(1, 2001))
    kept = thinned(losses)
    assert len(kept) <= 201
    assert (kept[0], kept[-1]) == (losses[0], losses[-1])
    assert thinned(losses[:200]) == losses[:200]
    drawn = shown(
        TrainingStatus("running", losses=losses, updates=2000), "ann"
    )[1]
    assert drawn.count("kg-point") == len(kept)


def test_a_score_that_is_a_share_is_drawn_from_none_to_all():
    rows = [
        {
            "method": "growth",
            "seed": 0,
            "step": step,
            "scores": {"new_skill": value},
            "details": {"new_skill": {"metric": "exact_match"}},
        }
        for step, value in ((0, 0.40), (10, 0.41))
    ]
    drawn = shown(TrainingStatus("running", rows=rows, updates=10), "ann")[1]
    for tick in ("0.0", "0.5", "1.0"):
        assert f">{tick}</text>" in drawn

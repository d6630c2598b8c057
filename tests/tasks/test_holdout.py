"""A part is held out of one file; none of it is trained on."""

import json
import random

import pytest

from keras_grow.tasks import Example
from keras_grow.tasks import file_task
from keras_grow.tasks import hold_out
from keras_grow.tasks import load_task

pytestmark = pytest.mark.no_backend

EXAMPLES = [Example(f"{n} + 1 =", f" {n + 1}") for n in range(200)]


def test_the_parts_add_up_to_the_whole_and_are_always_the_same():
    train, held_out, duplicates = hold_out(EXAMPLES, 0.1)
    assert (len(train), len(held_out), duplicates) == (180, 20, 0)
    assert set(train) | set(held_out) == set(EXAMPLES)
    assert list(train) == [e for e in EXAMPLES if e in train]
    # Committed: another version or machine must not choose other rows.
    first = ["1 + 1 =", "13 + 1 =", "32 + 1 ="]
    assert [e.prompt for e in held_out[:3]] == first
    shuffled = random.Random(0).sample(EXAMPLES, len(EXAMPLES))
    assert set(hold_out(shuffled, 0.1).held_out) == set(held_out)


def test_duplicates_of_training_rows_are_removed_and_counted():
    copies = [Example("same", " text") for _ in range(100)]
    mixed = EXAMPLES[:100] + copies
    with pytest.warns(UserWarning, match=r"of 100 held-out rows of my rows"):
        train, held_out, duplicates = hold_out(mixed, 0.5, "my rows")
    assert not set(train) & set(held_out)
    assert copies[0] in train
    assert duplicates == 100 - len(held_out) > 20
    assert len(train) == 100


def test_rows_with_another_answer_are_not_duplicates_but_copies_elsewhere_are():
    twins = [Example("x", f" {n}", source=f"line {n}") for n in range(20)]
    assert len(hold_out(twins, 0.5).held_out) == 10
    same = [Example("x", " y", source=f"line {n}") for n in range(20)]
    with pytest.raises(ValueError, match="0 others would be held out"):
        hold_out(same, 0.5)


def test_one_file_makes_a_task_of_two_parts(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": e.prompt, "response": e.response} for e in EXAMPLES]
    rows += rows[:50]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match="are also among the training rows"):
        task = load_task(str(path), split=0.2)
    assert len(task.train) == 200
    assert len(task.validation) + task.duplicates == 50
    assert task.duplicates > 0
    assert not set(task.train) & set(task.validation)
    with pytest.raises(ValueError, match="`split` with a training file"):
        file_task("mine", train=path, validation=path, split=0.1)
    with pytest.raises(ValueError, match="`split` with a training file"):
        file_task("mine", test=path, split=0.1)
    with pytest.raises(ValueError, match="only with a task of files"):
        load_task("gettext_en_fr", split=0.1)


@pytest.mark.parametrize("split", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(split):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        hold_out(EXAMPLES, split)


def test_too_few_rows_and_a_share_of_another_type_are_refused():
    with pytest.raises(ValueError, match="3 rows of the rows"):
        hold_out(EXAMPLES[:3], 0.1)
    with pytest.raises(TypeError, match=r"split='0\.1'"):
        hold_out(EXAMPLES, "0.1")

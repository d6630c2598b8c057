"""What no rank map's file says is refused: file and field are named."""

import dataclasses
import json
import math

import pytest

from keras_grow.analysis import RankMap
from keras_grow.analysis.rank_map import ChangeOfKernel

pytestmark = pytest.mark.no_backend

RANKS = RankMap(
    tuple(
        ChangeOfKernel(step - 1, step, block, slot, 1.5, 1.25, 2, 0.5)
        for step in (1, 2)
        for block in (0, 1)
        for slot in ("up", "gate")
    ),
    0.99,
    4,
)
VALUES = dataclasses.asdict(RANKS)
ROW = VALUES["changes"][0]


def with_row(**changes):
    return {**VALUES, "changes": [{**ROW, **changes}, *VALUES["changes"][1:]]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ranks.json"


def test_a_map_is_read_as_it_was_saved(path):
    RANKS.save(path)
    assert RankMap.load(path) == RANKS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "an object"),
        ({**VALUES, "x": 1}, "unknown fields.*x"),
        ({"changes": VALUES["changes"]}, "missing fields.*energy"),
        ({**VALUES, "energy": None}, "energy=None"),
        ({**VALUES, "full_rank": 1.5}, r"full_rank=1\.5"),
        ({**VALUES, "changes": 3}, "changes=3"),
        ({**VALUES, "changes": []}, "1 or more entries"),
        ({**VALUES, "changes": [3]}, r"`changes\[0\]` to be an object.*: 3"),
        ({**VALUES, "changes": [ROW, {}]}, r"`changes\[1\]`.*missing fields"),
        (with_row(x=1), "unknown fields.*x"),
        (with_row(step="1"), r"changes\[0\]\.step='1'"),
        (with_row(block=-1), "block=-1"),
        (with_row(block=True), "block=True"),
        (with_row(slot=None), "slot=None"),
        (with_row(effective_rank=math.nan), "effective_rank=nan"),
        (with_row(norm=math.inf), "norm=inf"),
        (with_row(norm=10**400), "`.*norm` to be a finite number"),
        (with_row(threshold_rank=1.0), r"threshold_rank=1\.0"),
        (with_row(slot="other"), "a row for each step, block and kernel"),
        (with_row(step=10**9), "a row for each step, block and kernel"),
        ({**VALUES, "changes": [ROW, ROW]}, "a row for each step"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_map_of_another_form_is_refused(path, values, message):
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=f"{message}.*In the file.*ranks.json"):
        RankMap.load(path)


@pytest.mark.parametrize("text", ["", "{", "[" * 10**5, "1" * 5_000, "\x00"])
def test_what_is_no_json_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=r"`RankMap\.save`.*ranks\.json"):
        RankMap.load(path)

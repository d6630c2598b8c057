"""`LayerScores` is an order of blocks that survives a file."""

import json

import pytest

from keras_grow import LayerScores
from keras_grow.selection import evenly_spaced
from keras_grow.selection import last_blocks

pytestmark = pytest.mark.no_backend

SCORES = LayerScores.ranked([0.1, 0.4, 0.3, 0.4], "update", "an example")


def test_it_iterates_over_block_indices_best_first_and_ties_by_index():
    assert list(SCORES) == [1, 3, 2, 0]
    assert SCORES.scores == (0.4, 0.4, 0.3, 0.1)
    assert len(SCORES) == 4


def test_top_is_the_same_kind_of_object_with_the_best_blocks():
    assert SCORES.top(2) == LayerScores(
        (1, 3), (0.4, 0.4), "update", "an example"
    )


@pytest.mark.parametrize("n", [0, 5, 1.5, True])
def test_top_refuses_a_number_that_is_not_there(n):
    with pytest.raises(ValueError, match=r"from 1 to 4\. Received: n="):
        SCORES.top(n)


def test_it_prints_as_a_table_of_ranks_blocks_and_scores():
    lines = str(SCORES).splitlines()
    assert lines[0] == "update: an example"
    assert lines[1] == "cost: a preliminary SFT run"
    assert lines[3].split() == ["1", "1", "0.4"]
    assert lines[-1].split() == ["4", "0", "0.1"]


def test_a_plot_has_the_bar_of_each_block_at_its_index():
    bars = SCORES.plot().patches
    heights = {
        round(b.get_x() + b.get_width() / 2): b.get_height() for b in bars
    }
    assert heights == {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.4}


def test_a_saved_file_loads_as_an_equal_object_and_leaves_nothing_else(
    tmp_path,
):
    SCORES.save(tmp_path / "scores.json")
    assert LayerScores.load(tmp_path / "scores.json") == SCORES
    assert [p.name for p in tmp_path.iterdir()] == ["scores.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "written by `LayerScores.save`"),
        ({"extra": 1}, "written by `LayerScores.save`"),
        ({"blocks": None}, "blocks=None"),
        ({"blocks": 10**9}, "blocks=1000000000"),
        ({"scores": "x"}, "scores='x'"),
        ({"version": 2}, "version 2"),
        ({"blocks": [1, 1, 2, 0]}, "distinct block indices"),
        ({"blocks": [1.0, 3, 2, 0]}, "distinct block indices"),
        ({"blocks": [1, 2]}, "one score for each block"),
        ({"scores": [0.1, 0.2, 0.3, 0.4]}, "descending order"),
        ({"scores": [float("nan")] * 4}, "finite floats"),
        ({"method": 3}, "to be strings"),
    ],
)
def test_load_refuses_a_file_that_holds_no_ranking(tmp_path, change, message):
    path = tmp_path / "scores.json"
    SCORES.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f"{message}.*In the file.*scores"):
        LayerScores.load(path)


@pytest.mark.parametrize("text", ["block 3", "[" * 10**5, "1" * 5_000])
def test_load_says_when_a_file_is_no_json(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="no JSON"):
        LayerScores.load(path)


def test_last_blocks_come_last_first():
    assert list(last_blocks(4)) == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("n", "blocks"), [(1, [17]), (3, [17, 11, 5]), (18, [*range(17, -1, -1)])]
)
def test_evenly_spaced_takes_the_top_of_equal_groups(n, blocks):
    assert list(evenly_spaced(18, n)) == blocks


@pytest.mark.parametrize("n", [0, 19, 3.0, True, "3"])
def test_evenly_spaced_refuses_a_number_that_is_not_there(n):
    with pytest.raises(ValueError, match=r"from 1 to 18\. Received: n="):
        evenly_spaced(18, n)

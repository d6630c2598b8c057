"""Growths and LoRA in files and configs are parsed, or refused."""

import pytest

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.stored import check_total_width
from keras_grow.growth.stored import missing_beneath
from keras_grow.growth.stored import parse_growths
from keras_grow.growth.stored import parse_lora

pytestmark = pytest.mark.no_backend

VALUES = {"factor": 2, "layers": [0, 2]}


@pytest.mark.parametrize(
    ("growths", "message"),
    [
        (None, "`growths` to be a list"),
        (3, "growths=3"),
        ("[]", "growths='"),
        ({}, "growths={}"),
        ([], "1 to 4096 entries"),
        ([VALUES] * 10**6, "1000000 entries"),
        ([1, 2], r"Received: 1 In `growths\[0\]`"),
        ([VALUES, None], r"None In `growths\[1\]`"),
        ([VALUES, {**VALUES, "factor": 1}], r"factor=1 In `growths\[1\]`"),
        ([VALUES] * 64, "block 0 that make it wider"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_growths_are_refused(growths, message):
    with pytest.raises(ValueError, match=message):
        parse_growths(growths)


def test_growths_widen_a_block_to_at_most_64_times_the_base():
    assert len(parse_growths([VALUES] * 63)) == 63
    first, second = GrowthConfig(63, (0, 1)), GrowthConfig(2, (1, 2))
    check_total_width([first, second])
    with pytest.raises(ValueError, match=r"64 times.*block 1"):
        check_total_width([first, second, second])


def test_g_train_is_neither_above_nor_below_another_growth():
    whole = {**VALUES, "strategy": "g_train"}
    for growths in ([whole, VALUES], [VALUES, whole], [whole, whole]):
        with pytest.raises(ValueError, match="lie on top of each other"):
            parse_growths(growths)
    assert len(parse_growths([whole, {"factor": 2, "layers": [1]}])) == 2
    beside = {**VALUES, "name": "other", "beneath": []}
    assert len(parse_growths([whole, beside])) == 2


def test_each_growth_of_version_1_is_on_top_of_all_before_it():
    first, second, third = parse_growths([VALUES, VALUES, VALUES])
    assert first.beneath == ()
    assert second.beneath == (("growth_1", 1.0),)
    assert third.beneath == (("growth_1", 1.0), ("growth_2", 1.0))
    assert missing_beneath([third]) == ["growth_1", "growth_2"]
    assert missing_beneath([first, second, third]) == []


def test_two_growths_of_one_name_are_refused():
    named = {**VALUES, "name": "french"}
    with pytest.raises(ValueError, match="different names"):
        parse_growths([named, named])


def test_lora_is_rank_and_alpha_by_path():
    values = {"a/query": {"rank": 2, "alpha": 2.0}}
    assert parse_lora(values) == values
    assert parse_lora({}) == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "lora=None"),
        (3, "lora=3"),
        ([], r"lora=\[\]"),
        ([1, 2], r"lora=\[1, 2\]"),
        ({"a": 3}, "`lora\\['a'\\]` to be an object.*Received: 3"),
        ({"a": {"alpha": 2.0}}, r"missing fields \['rank'\]"),
        ({"a": {"rank": 2}}, r"missing fields \['alpha'\]"),
        ({"a": {"rank": 2, "alpha": 1, "x": 0}}, "unknown fields"),
        ({"a": {"rank": 0, "alpha": 1}}, "rank` to be an int from 1 to"),
        ({"a": {"rank": 2.0, "alpha": 1}}, "rank=2.0"),
        ({"a": {"rank": 10**9, "alpha": 1}}, "rank=1000000000"),
        ({"a": {"rank": 2, "alpha": None}}, "alpha=None"),
        ({"a": {"rank": 2, "alpha": float("nan")}}, "alpha=nan"),
        ({"a": {"rank": 2, "alpha": 10**400}}, "finite number.*alpha=1000"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_lora_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        parse_lora(values)

"""Every field of a `GrowthConfig` is checked when it is made."""

import json

import numpy as np
import pytest

from keras_grow.growth.config import GrowthConfig
from keras_grow.growth.config import resolve_layers

pytestmark = pytest.mark.no_backend

VALUES = {"factor": 2, "layers": [0, 2]}
DEEP = "[" * 100_000
HUGE = "1" * 5_000


@pytest.mark.parametrize(
    "config",
    [
        GrowthConfig(2, (0,)),
        GrowthConfig(3, (2, 0), "g_train", shares="unequal"),
        GrowthConfig(2, (1,), "g_freeze_up"),
        GrowthConfig(64, (1,), init="random_zero_down", seed=2**64 - 1),
        GrowthConfig(np.int64(2), [np.int32(4)], slice_dtype="bfloat16"),
        GrowthConfig(2, range(3), init="zeros", slice_dtype="float16"),
    ],
    ids=str,
)
def test_a_config_round_trips_through_json(config):
    assert GrowthConfig.from_json(config.to_json()) == config
    assert GrowthConfig.from_dict(config.to_dict()) == config


def test_layers_are_kept_as_a_tuple_in_ascending_order():
    assert GrowthConfig(2, [3, np.int64(1)]).layers == (1, 3)
    assert type(GrowthConfig(2, [np.int64(1)]).layers[0]) is int


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": 1}, "`factor` to be an int from 2 to 64.*factor=1"),
        ({"factor": 65}, "from 2 to 64.*factor=65"),
        ({"factor": 10**9}, "factor=1000000000"),
        ({"factor": 10**5000}, "factor=an int of thousands of digits"),
        ({"factor": 2.0}, r"factor=2\.0"),
        ({"factor": True}, "factor=True"),
        ({"factor": None}, "factor=None"),
        ({"layers": None}, "`layers` to be a tuple.*layers=None"),
        ({"layers": 3}, "layers=3"),
        ({"layers": 10**9}, "layers=1000000000"),
        ({"layers": range(10**9)}, r"layers=range\(0, 1000000000\)"),
        ({"layers": ()}, r"layers=\(\)"),
        ({"layers": (0, 0)}, "every block index once"),
        ({"layers": (2, -5)}, r"layers=\(2, -5\)"),
        ({"layers": (10**9,)}, r"layers=\(1000000000,\)"),
        ({"layers": (0.0,)}, r"layers=\(0\.0,\)"),
        ({"layers": (True,)}, r"layers=\(True,\)"),
        ({"layers": ("0",)}, r"layers=\('0',\)"),
        ({"layers": "01"}, "layers='01'"),
        ({"layers": b"01"}, "layers=b'01'"),
        ({"layers": {0: 1}}, "layers={0: 1}"),
        ({"layers": [[0]]}, r"layers=\[\[0\]\]"),
        ({"strategy": "freeze"}, "strategy='freeze'"),
        ({"strategy": None}, "strategy=None"),
        ({"strategy": ["g_freeze"]}, r"strategy=\['g_freeze'\]"),
        ({"init": "ones"}, "init='ones'"),
        ({"shares": 1}, "shares=1"),
        ({"shares": "unequal"}, 'shares="equal"'),
        ({"strategy": "g_train", "init": "zeros"}, "never receive"),
        ({"strategy": "g_freeze_up", "init": "zeros"}, "never receive"),
        ({"strategy": "g_freeze_up", "shares": "unequal"}, 'shares="equal"'),
        ({"slice_dtype": "potato"}, "slice_dtype='potato'"),
        ({"slice_dtype": "int8"}, "slice_dtype='int8'"),
        ({"slice_dtype": "float64"}, "slice_dtype='float64'"),
        ({"slice_dtype": None}, "slice_dtype=None"),
        ({"slice_dtype": 5}, "slice_dtype=5"),
        ({"seed": -1}, "seed=-1"),
        # PyTorch takes no dot in the path of a variable.
        ({"name": "v1.0"}, r"`_` and `-`.*name='v1\.0'"),
        ({"beneath": (("v1.0", 1.0),)}, r"`_` and `-`.*name='v1\.0'"),
        ({"seed": 0.5}, r"seed=0\.5"),
        ({"seed": 2**64}, "seed=18446744073709551616"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, str) else "",
)
def test_a_field_of_a_wrong_type_or_out_of_range_is_refused(change, message):
    values = {**VALUES, **change}
    for make in (lambda: GrowthConfig(**values), lambda: from_dict(values)):
        with pytest.raises(ValueError, match=message):
            make()


def from_dict(values):
    return GrowthConfig.from_dict(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "a growth to be an object.*Received: None"),
        ([], r"Received: \[\]"),
        ({"factor": 2}, r"missing fields \['layers'\]"),
        ({**VALUES, "x": 1}, "unknown fields.*x"),
        ({**VALUES, 3: 1}, "unknown fields.*3"),
    ],
    ids=str,
)
def test_values_that_are_not_a_config_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        GrowthConfig.from_dict(values)


@pytest.mark.parametrize("text", ["", "{", DEEP, HUGE, "null", "NaN", "3"])
def test_json_that_is_not_a_config_is_refused(text):
    with pytest.raises(ValueError, match="Expected a growth"):
        GrowthConfig.from_json(text)


def test_a_file_must_name_its_blocks():
    """What `grow_model` accepts for `layers` beside indices, a file may not."""
    assert resolve_layers(None, 2) == (0, 1)
    assert resolve_layers(1, 2) == (1,)
    for layers in (None, 1, 10**9):
        with pytest.raises(ValueError, match="tuple of block indices"):
            GrowthConfig.from_json(json.dumps({"factor": 2, "layers": layers}))

"""Damaged and crafted growth files are refused, and nothing is changed.

A crafted file has a correct checksum. Whatever it holds, it either loads as
written or raises a `ValueError` that names the field.
"""

import json
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import save_file
from tiny_models import tiny_lm

import keras_grow
from keras_grow.saving.fingerprint import base_fingerprint
from keras_grow.saving.reading import read_growth_file
from keras_grow.saving.schema import checksum

BASE = "0" * 64
GROWTH = {"factor": 2, "layers": [0]}
LORA = "decoder_block_0/attention/query"


def tiny_contents() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a growth of one block, with LoRA."""
    rng = np.random.default_rng(0)
    shapes = {
        "blocks.0.gating_ffw.slice_1.kernel": (4, 6),
        "blocks.0.gating_ffw_2.slice_1.kernel": (4, 6),
        "blocks.0.ffw_linear.slice_1.kernel": (6, 4),
        f"lora.{LORA}.lora_kernel_a": (2, 4, 1),
        f"lora.{LORA}.lora_kernel_b": (1, 2),
    }
    tensors = {
        name: rng.normal(size=shape).astype("float32")
        for name, shape in shapes.items()
    }
    metadata = {
        "format": "keras_grow.growth",
        "version": "1",
        "family": "Gemma3Backbone",
        "growths": json.dumps([GROWTH]),
        "lora": json.dumps({LORA: {"rank": 1, "alpha": 1.0}}),
        "base": BASE,
    }
    return tensors, metadata


def write(path: Path, tensors: dict, metadata: dict) -> None:
    """Write a file with a correct checksum, whatever its contents."""
    metadata = {k: v for k, v in metadata.items() if k != "checksum"}
    metadata["checksum"] = checksum(tensors, metadata)
    save_file(tensors, path, metadata)


def in_growth(**fields):
    """A change to the first growth of a file."""

    def change(tensors, metadata):
        first, *rest = json.loads(metadata["growths"])
        metadata["growths"] = json.dumps([{**first, **fields}, *rest])

    return change


def says(name, value):
    """A change to a field of the metadata, given as JSON or as text."""

    def change(tensors, metadata):
        text = value if isinstance(value, str) else json.dumps(value)
        metadata[name] = text

    return change


def lacks(name):
    """A change that removes a field of the metadata."""

    def change(tensors, metadata):
        del metadata[name]

    return change


def in_lora(entry):
    """A change to every entry of `lora`."""

    def change(tensors, metadata):
        paths = json.loads(metadata["lora"])
        metadata["lora"] = json.dumps(dict.fromkeys(paths, entry))

    return change


def each_tensor(function):
    """A change to every slice."""

    def change(tensors, metadata):
        for name in tensors:
            if name.startswith("blocks."):
                tensors[name] = function(tensors[name])

    return change


def all_nan(array):
    """An array of NaN."""
    return np.full_like(array, np.nan)


def one_infinite(array):
    """An array with one weight that is infinite."""
    array = array.copy()
    array.flat[-1] = np.inf
    return array


def renamed(old, new):
    """A change that renames tensors."""

    def change(tensors, metadata):
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)

    return change


# What is changed, and what the message must say of it.
PARSED = {
    "layers null": (in_growth(layers=None), "`layers`.*layers=None"),
    "layers a number": (in_growth(layers=1), "layers=1"),
    "layers 10^9": (in_growth(layers=10**9), "layers=1000000000"),
    "layers strings": (in_growth(layers=["0"]), r"layers=\['0'\]"),
    "layers a string": (in_growth(layers="0"), "layers='0'"),
    "layers floats": (in_growth(layers=[0.0]), r"layers=\[0\.0\]"),
    "layers true": (in_growth(layers=[True]), r"layers=\[True\]"),
    "layers nested": (in_growth(layers=[[0]]), r"layers=\[\[0\]\]"),
    "layers empty": (in_growth(layers=[]), r"layers=\[\]"),
    "layers repeated": (in_growth(layers=[0, 0]), "index once"),
    "layers negative": (in_growth(layers=[-1]), r"layers=\[-1\]"),
    "factor null": (in_growth(factor=None), "factor=None"),
    "factor 1": (in_growth(factor=1), "factor=1"),
    "factor 10^9": (in_growth(factor=10**9), "factor=1000000000"),
    "factor a float": (in_growth(factor=2.0), r"factor=2\.0"),
    "factor infinite": (in_growth(factor=float("inf")), "factor=inf"),
    "strategy unknown": (in_growth(strategy="x"), "strategy='x'"),
    "strategy a list": (in_growth(strategy=[]), r"strategy=\[\]"),
    "init unknown": (in_growth(init=None), "init=None"),
    "init zeros": (in_growth(init="zeros"), "init='zeros'.*growth_1"),
    "shares unknown": (in_growth(shares={}), "shares={}"),
    "slice_dtype x": (in_growth(slice_dtype="x"), "slice_dtype='x'"),
    "slice_dtype null": (in_growth(slice_dtype=None), "slice_dtype=None"),
    "slice_dtype 5": (in_growth(slice_dtype=5), "slice_dtype=5"),
    "slice_dtype int8": (in_growth(slice_dtype="int8"), "slice_dtype='int8'"),
    "slice_dtype float64": (
        in_growth(slice_dtype="float64"),
        "slice_dtype='float64'",
    ),
    "slice_dtype bfloat16": (
        in_growth(slice_dtype="bfloat16"),
        "slice_dtype='bfloat16'.*of float32",
    ),
    "seed a string": (in_growth(seed="0"), "seed='0'"),
    "seed negative": (in_growth(seed=-1), "seed=-1"),
    "a growth's unknown field": (in_growth(x=1), r"unknown fields.*'x'"),
    "growths null": (says("growths", None), "growths=None"),
    "growths a number": (says("growths", 3), "growths=3"),
    "growths an object": (says("growths", {}), "growths={}"),
    "growths a string": (says("growths", '"x"'), "growths='x'"),
    "growths empty": (says("growths", []), "1 to 4096 entries"),
    "growths numbers": (says("growths", [1, 2]), r"1 In `growths\[0\]`"),
    "growths lists": (says("growths", [[]]), r"\[\] In `growths\[0\]`"),
    "growths without factor": (
        says("growths", [{"layers": [0]}]),
        r"missing fields \['factor'\]",
    ),
    "growths 10^5": (says("growths", [1] * 10**5), "100000 entries"),
    "growths too wide": (says("growths", [GROWTH] * 64), "64 times"),
    "growths no JSON": (says("growths", "{"), "`growths` as JSON"),
    "growths nested": (says("growths", "[" * 10**5), "`growths` as JSON"),
    "growths 10^6 digits": (says("growths", "1" * 10**6), "`growths` as JSON"),
    "growths 2 MB": (says("growths", "[" + "1," * 2**20), "at most 1048576"),
    "lora null": (says("lora", None), "lora=None"),
    "lora a number": (says("lora", 3), "lora=3"),
    "lora a list": (says("lora", []), r"lora=\[\]"),
    "lora numbers": (says("lora", [1, 2]), r"lora=\[1, 2\]"),
    "lora nested": (says("lora", '{"a":' * 10**5), "`lora` as JSON"),
    "lora entries numbers": (in_lora(3), r"query'\]` to be an object.*: 3"),
    "lora without rank": (in_lora({"alpha": 1}), r"missing.*\['rank'\]"),
    "lora without alpha": (in_lora({"rank": 1}), r"missing.*\['alpha'\]"),
    "lora unknown": (in_lora({"rank": 1, "alpha": 1, "x": 0}), "'x'"),
    "lora rank null": (in_lora({"rank": None, "alpha": 1}), "rank=None"),
    "lora rank 10^9": (in_lora({"rank": 10**9, "alpha": 1}), "rank=10000"),
    "lora alpha NaN": (
        in_lora({"rank": 1, "alpha": float("nan")}),
        "alpha=nan",
    ),
    "no family": (lacks("family"), r"missing fields \['family'\]"),
    "no growths": (lacks("growths"), r"missing fields \['growths'\]"),
    "no lora": (lacks("lora"), r"missing fields \['lora'\]"),
    "no base": (lacks("base"), r"missing fields \['base'\]"),
    "no format": (lacks("format"), "something else"),
    "no version": (lacks("version"), "version None"),
    "an unknown field": (says("more", "x"), r"unknown fields.*'more'"),
    "family long": (says("family", "x" * 10**5), "`family`"),
    "base no fingerprint": (says("base", "x"), "base='x'"),
    "int32": (each_tensor(lambda a: a.astype("int32")), "of I32"),
    "float64": (each_tensor(lambda a: a.astype("float64")), "of F64"),
    "float16": (each_tensor(lambda a: a.astype("float16")), "of float16"),
    "no shape": (each_tensor(lambda a: np.zeros((), "f4")), r"shape \[\]"),
    "no rows": (each_tensor(lambda a: a[:0]), r"shape \[0"),
    "all NaN": (each_tensor(all_nan), "finite weights.*allow_non_finite"),
    "one infinite": (each_tensor(one_infinite), "finite weights"),
}
# What only a base can tell.
FITTED = {
    "layers beyond the model": (in_growth(layers=[0, 9]), r"layers=\[0, 9\]"),
    "other layers": (in_growth(layers=[1]), "tensors that do not fit"),
    "another factor": (in_growth(factor=3), "tensors that do not fit"),
    "strategy g_train": (in_growth(strategy="g_train"), "do not fit"),
    "transposed": (each_tensor(lambda a: a.T.copy()), "has shape"),
    "another slot": (renamed("gating_ffw_2", "x"), "do not fit"),
    "another block": (renamed("blocks.0", "blocks.1"), "do not fit"),
    "a path": (renamed("blocks.0", "blocks.0/../1"), "do not fit"),
    "no lora entries": (says("lora", {}), "do not fit"),
    "another lora rank": (in_lora({"rank": 2, "alpha": 1}), "do not fit"),
    "lora elsewhere": (
        says("lora", {"x": {"rank": 1, "alpha": 1}}),
        r"dense layers.*lora\['x'\]",
    ),
    "lora on a grown MLP": (
        says("lora", {"decoder_block_0/ffw_linear": {"rank": 1, "alpha": 1}}),
        "outside of the grown MLPs",
    ),
    "lora larger than the layer": (
        in_lora({"rank": 60000, "alpha": 1}),
        "at most 64 times",
    ),
    "another family": (says("family", "GemmaBackbone"), "'GemmaBackbone'"),
    "another base": (says("base", BASE), "base has other weights"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "crafted.grow.safetensors"


@pytest.mark.no_backend
def test_a_file_is_read_as_it_was_written(path):
    tensors, metadata = tiny_contents()
    write(path, tensors, metadata)
    file = read_growth_file(path)
    assert file.growths == (keras_grow.GrowthConfig(2, (0,)),)
    assert file.lora == {LORA: {"rank": 1, "alpha": 1.0}}
    assert json.loads(file.metadata["growths"])[0].items() >= GROWTH.items()
    for name, tensor in tensors.items():
        named = name.replace(".slice_1.", "/growth_1/")
        np.testing.assert_array_equal(file.tensors[named], tensor)


@pytest.mark.no_backend
@pytest.mark.parametrize("kind", PARSED)
def test_impossible_fields_are_refused_by_name(path, kind):
    change, message = PARSED[kind]
    tensors, metadata = tiny_contents()
    change(tensors, metadata)
    write(path, tensors, metadata)
    with pytest.raises(ValueError, match=f"(?s){message}.*In the file.*craft"):
        read_growth_file(path)


@pytest.mark.no_backend
def test_weights_that_are_not_finite_are_read_on_request(path):
    tensors, metadata = tiny_contents()
    each_tensor(all_nan)(tensors, metadata)
    write(path, tensors, metadata)
    file = read_growth_file(path, allow_non_finite=True)
    assert np.isnan(file.tensors["blocks.0.ffw_linear/growth_1/kernel"]).all()


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with flipped, missing, added or random bytes."""
    start = int(rng.integers(len(data)))
    length = int(rng.integers(1, 1 + min(64, len(data) - start)))
    junk = rng.bytes(length)
    kind = rng.integers(5)
    if kind == 0:
        flipped = data[start] ^ 1 << int(rng.integers(8))
        return data[:start] + bytes([flipped]) + data[start + 1 :]
    if kind == 1:
        return data[:start]
    if kind == 2:
        return data[:start] + data[start + length :]
    if kind == 3:
        return data[:start] + junk + data[start:]
    return data[:start] + junk + data[start + length :]


VALUES = [
    *(None, True, 0, 1, -1, 3, 10**9, 10**300, 0.5, 1e308, float("nan")),
    *(
        "",
        "x",
        "0",
        "copy",
        "zeros",
        "g_train",
        "bfloat16",
        "\ud800",
        "x" * 999,
    ),
    *([], {}, [0], [[0]], [None], {"a": 1}, [[[[[]]]]], [0] * 999, "x" * 999),
]


def with_a_wrong_value(value, rng: np.random.Generator):
    """JSON values with one of them, anywhere, replaced or removed."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        value = value.copy()
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = keys[int(rng.integers(len(keys)))]
        if rng.random() < 0.1:
            del value[key]
        else:
            value[key] = with_a_wrong_value(value[key], rng)
        return value
    return VALUES[int(rng.integers(len(VALUES)))]


def crafted(rng: np.random.Generator):
    """Contents with one change of values, text or tensors."""
    tensors, metadata = tiny_contents()
    field = ("growths", "lora")[int(rng.integers(2))]
    kind = rng.integers(4)
    if kind < 2:
        values = with_a_wrong_value(json.loads(metadata[field]), rng)
        metadata[field] = json.dumps(values)
    elif kind == 2:
        text = damaged(metadata[field].encode(), rng)
        metadata[field] = text.decode("utf-8", "replace")
    else:
        name = list(tensors)[int(rng.integers(len(tensors)))]
        array = tensors.pop(name)
        changes = [
            lambda: {},
            lambda: {name: array.astype("int32")},
            lambda: {name: array.astype("float16")},
            lambda: {name: one_infinite(array)},
            lambda: {name: array.reshape(-1)},
            lambda: {name[: int(rng.integers(len(name)))]: array},
        ]
        tensors.update(changes[int(rng.integers(len(changes)))]())
    return tensors, metadata


@pytest.mark.no_backend
def test_1400_damaged_and_crafted_files_are_refused_or_read_as_they_say(path):
    rng = np.random.default_rng(0)
    write(path, *tiny_contents())
    whole = path.read_bytes()
    refused = read = 0
    tracemalloc.start()
    try:
        for number in range(1_400):
            if number < 700:
                data = damaged(whole, rng)
                path.write_bytes(data)
                says = None
            else:
                tensors, says = crafted(rng)
                write(path, tensors, says)
                data = path.read_bytes()
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            try:
                file = read_growth_file(path)
            except ValueError:
                refused += 1
            else:
                read += 1
                assert data == whole or says is not None
                if says is not None:
                    assert_says(file, says)
            assert tracemalloc.get_traced_memory()[1] - before < 8 << 20
    finally:
        tracemalloc.stop()
    assert refused + read == 1_400
    # What a base would tell: other shapes and names.
    assert 20 < read < 200


def assert_says(file, metadata):
    """What was read is what the file says: no value was converted."""
    said = json.loads(metadata["growths"])
    for growth, values in zip(file.growths, said, strict=True):
        found = growth.to_dict()
        values = {**values, "layers": sorted(values["layers"])}
        assert found == {**found, **values}
    assert file.lora == json.loads(metadata["lora"])


class Target:
    """A tiny base to load growths onto, and a file that fits it."""

    def __init__(self, folder: Path) -> None:
        grown = tiny_lm("gemma3", num_layers=2)
        keras_grow.grow_model(grown, layers=[0])
        grown.backbone.enable_lora(1)
        rng = np.random.default_rng(1)
        for weight in grown.trainable_weights:
            weight.assign(weight + rng.normal(0, 0.3, weight.shape))
        self.file = folder / "whole.grow.safetensors"
        keras_grow.save_growth(grown, self.file)
        self.weights = weights_of(grown)
        self.lm = tiny_lm("gemma3", num_layers=2)
        self.state = self.look()

    def look(self):
        """The state of the model: bytes, paths, trainable paths, class."""
        backbone = self.lm.backbone
        return (
            base_fingerprint(self.lm),
            [w.path for w in self.lm.weights],
            [w.path for w in self.lm.trainable_weights],
            type(backbone),
            backbone.get_config(),
        )


def weights_of(lm):
    """Every weight by its path."""
    return {w.path: ops.convert_to_numpy(w) for w in lm.weights}


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return Target(tmp_path_factory.mktemp("growth"))


@pytest.mark.parametrize("kind", FITTED)
def test_a_file_that_does_not_fit_the_base_is_refused_before_any_change(
    path, target, kind
):
    change, message = FITTED[kind]
    file = read_growth_file(target.file)
    tensors, metadata = dict(file.tensors), file.metadata
    change(tensors, metadata)
    write(path, tensors, metadata)
    with pytest.raises(ValueError, match=f"(?s){message}.*In the file.*craft"):
        keras_grow.load_growth(target.lm, path)
    assert target.look() == target.state


def test_a_refused_second_growth_leaves_no_first(path, target):
    """Each growth is checked before the first is made."""
    file = read_growth_file(target.file)
    for second, message in [
        ({**GROWTH, "layers": [0], "strategy": "g_train"}, "on top of"),
        ({**GROWTH, "layers": [9]}, r"layers=\[9\]"),
        ({**GROWTH, "layers": [1]}, "do not fit"),
    ]:
        metadata = file.metadata
        first = json.loads(metadata["growths"])
        metadata["growths"] = json.dumps([*first, second])
        metadata["scales"] = json.dumps({"growth_1": 1.0, "growth_2": 1.0})
        write(path, dict(file.tensors), metadata)
        with pytest.raises(ValueError, match=message):
            keras_grow.load_growth(target.lm, path)
    assert target.look() == target.state


def test_damaged_and_crafted_files_change_no_bit_of_a_model(path, target):
    rng = np.random.default_rng(1)
    whole = target.file.read_bytes()
    file = read_growth_file(target.file)
    for _ in range(100):
        path.write_bytes(damaged(whole, rng))
        with pytest.raises(ValueError, match="Expected"):
            keras_grow.load_growth(target.lm, path)
    for change, _ in PARSED.values():
        tensors, metadata = dict(file.tensors), file.metadata
        change(tensors, metadata)
        write(path, tensors, metadata)
        with pytest.raises(ValueError, match="Expected"):
            keras_grow.load_growth(target.lm, path)
    assert target.look() == target.state


def test_a_change_without_effect_loads_as_the_saved_growth(path, target):
    file = read_growth_file(target.file)
    metadata = file.metadata
    in_growth(seed=7)(None, metadata)
    write(path, dict(file.tensors), metadata)
    lm = keras_grow.load_growth(tiny_lm("gemma3", num_layers=2), path)
    found = weights_of(lm)
    assert found.keys() == target.weights.keys()
    for name, weight in target.weights.items():
        np.testing.assert_array_equal(found[name], weight)


CONFIGS = [
    ({"growths": None}, "growths=None"),
    ({"growths": 3}, "growths=3"),
    ({"growths": []}, "1 to 4096 entries"),
    ({"growths": [GROWTH] * 10**6}, "1000000 entries"),
    ({"growths": [{**GROWTH, "factor": 10**9}]}, "factor=1000000000"),
    ({"growths": [{**GROWTH, "layers": [9]}]}, r"layers=\[9\]"),
    ({"growths": [{**GROWTH, "layers": None}]}, "layers=None"),
    ({"growths": [{**GROWTH, "layers": 10**9}]}, "layers=1000000000"),
    ({"growths": [{**GROWTH, "slice_dtype": 5}]}, "slice_dtype=5"),
    ({"growths": [{**GROWTH, "factor": 60}] * 2}, "64 times"),
    ({"lora": None}, "lora=None"),
    ({"lora": {"x": {"rank": 1, "alpha": 1}}}, r"lora\['x'\]"),
    ({"lora": {LORA: {"rank": 60000, "alpha": 1}}}, "at most 64 times"),
    ({"quantized": "x"}, "quantized='x'"),
]


@pytest.mark.parametrize(
    ("change", "message"), CONFIGS, ids=[message for _, message in CONFIGS]
)
def test_a_crafted_config_of_a_model_is_refused(target, change, message):
    """Such a config is in a `.keras` file and in a preset."""
    config = target.lm.backbone.get_config()
    config = {**config, "growths": [GROWTH], "lora": {}, **change}
    cls = keras.saving.get_registered_object("keras_grow>GrownGemma3Backbone")
    with pytest.raises(ValueError, match=message):
        cls.from_config(config)


def test_a_crafted_preset_is_refused(tmp_path, target):
    lm = tiny_lm("gemma3", num_layers=1)
    keras_grow.grow_model(lm)
    lm.backbone.save_to_preset(str(tmp_path))
    file = tmp_path / "config.json"
    values = json.loads(file.read_text())
    values["config"]["growths"][0]["layers"] = 10**9
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="layers=1000000000"):
        type(lm.backbone).from_preset(str(tmp_path))

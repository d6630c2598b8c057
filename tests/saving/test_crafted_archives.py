"""A `.keras` file or preset whose config was changed by hand is refused."""

import copy
import json
import zipfile

import keras
import keras_hub
import pytest
from tiny_models import tiny_lm

import keras_grow

GROWTH = {"factor": 2, "layers": [0], "name": "growth_1"}
CRAFTED = {
    "growths that are null": ("growths", None),
    "growths that are a number": ("growths", 3),
    "a growth that is a list": ("growths", [[2, [0]]]),
    "blocks that are null": ("growths", [{**GROWTH, "layers": None}]),
    "a number for blocks": ("growths", [{**GROWTH, "layers": 10**9}]),
    "a block that is not there": ("growths", [{**GROWTH, "layers": [10**9]}]),
    "a factor without end": ("growths", [{**GROWTH, "factor": 10**9}]),
    "a dtype that is none": ("growths", [{**GROWTH, "slice_dtype": "potato"}]),
    "scales of other growths": ("scales", {"other": 1.0}),
    "a scale that is a text": ("scales", {"growth_1": "1"}),
    "LoRA that is a number": ("lora", 5),
    "LoRA of a layer that is not there": (
        "lora",
        {"nowhere": {"rank": 1, "alpha": 1.0}},
    ),
}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A grown backbone as a `.keras` file and as a preset."""
    folder = tmp_path_factory.mktemp("grown")
    backbone = keras_grow.grow_model(tiny_lm(num_layers=1).backbone)
    backbone.save(folder / "grown.keras")
    backbone.save_to_preset(str(folder / "preset"))
    return folder


def crafted(config, field, value):
    """`config` of a grown backbone with one field changed."""
    config = copy.deepcopy(config)
    assert field in config["config"]
    config["config"][field] = value
    return config


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_keras_file_is_refused(grown, tmp_path, what):
    path = tmp_path / "crafted.keras"
    with (
        zipfile.ZipFile(grown / "grown.keras") as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = crafted(json.loads(data), *CRAFTED[what])
                data = json.dumps(config).encode()
            target.writestr(name, data)
    with pytest.raises((ValueError, TypeError), match="Expected"):
        keras.saving.load_model(path)


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_preset_is_refused(grown, tmp_path, what):
    for file in (grown / "preset").rglob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config = crafted(config, *CRAFTED[what])
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises((ValueError, TypeError), match="Expected"):
        keras_hub.models.Backbone.from_preset(str(tmp_path))

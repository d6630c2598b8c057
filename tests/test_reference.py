"""The reference pages say what the code says."""

import json
import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from family_models import CONFIGS

import keras_grow
from keras_grow.growth.config import GrowthConfig
from keras_grow.saving.schema import GrowthFile

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "examples/reference"
TOPICS = runpy.run_path(str(PAGES / "topics.py"))["TOPICS"]

pytestmark = pytest.mark.no_backend


def page(name):
    return (PAGES / name).read_text("utf-8")


def test_every_public_name_has_one_topic():
    packages = [getattr(keras_grow, name) for name in keras_grow._PACKAGES]
    modules = (keras_grow, *packages)
    public = Counter(name for module in modules for name in module.__all__)
    assert Counter(name for topic in TOPICS for name in topic.names) == public


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.title)
def test_a_topic_links_to_pages_that_are_there(topic):
    assert topic.links
    for link in topic.links:
        assert (ROOT / "examples" / link).is_file(), link


def test_the_index_leads_to_every_guide_and_every_page():
    linked = {link for topic in TOPICS for link in topic.links}
    examples = ROOT / "examples"
    guides = {*examples.glob("guides/[0-9]_*.py"), *PAGES.glob("*.md")}
    assert {str(p.relative_to(examples)) for p in guides} <= linked


def test_every_family_that_is_tested_is_listed():
    rows = re.findall(r"^\| (.+?) \| ", page("families.md"), re.MULTILINE)
    assert sorted({*rows} - {"family", "---"}) == sorted(CONFIGS)


def test_every_error_that_is_explained_is_raised():
    sources = (ROOT / "keras_grow").rglob("*.py")
    text = "".join(path.read_text("utf-8") for path in sources)
    # A message goes on from one literal to the next.
    text = re.sub(r'"\s*\n\s*f?"', "", text)
    begins = re.findall(r"`(Expected [^`]+)`", page("errors.md"))
    assert len(begins) > 15
    assert [begin for begin in begins if begin not in text] == []


def test_the_page_of_the_growth_file_has_every_field():
    text = page("growth_file.md")
    config = GrowthConfig(2, (0,))
    file = GrowthFile(
        "Gemma3Backbone",
        (config,),
        {config.name: 1.0},
        {},
        {},
        "0" * 64,
        {"blocks.0.ffw_linear/growth_1/kernel": np.ones((2, 2), "float32")},
    )
    (own,) = json.loads(file.metadata["growths"])
    for name in (*file.metadata, *own):
        assert f"| `{name}` |" in text, name
    # The table of `__metadata__` and that of a growth, and nothing else.
    found = re.findall(r"^\| `([a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(found) == sorted([*file.metadata, *own])

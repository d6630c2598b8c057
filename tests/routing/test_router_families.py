"""The router of every family that reads text."""

import pytest
from family_models import CONFIGS
from family_models import few_programs
from family_models import speaking_family

import keras_grow

PROMPTS = ["hello: the fox", "hello: the dog", "hello: a quick fox"]
OTHERS = ["over and over", "what it knew", "does not forget", "it grows"]


# Every input of PaliGemma has an image.
@pytest.mark.once
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"PaliGemma"}))
def test_prompts_reach_their_growth_and_others_the_base(name):
    with few_programs():
        lm = keras_grow.grow_model(speaking_family(name), name="hello")
        router = keras_grow.GrowthRouter(lm).fit({"hello": PROMPTS}, OTHERS)
        assert router(PROMPTS).names == ["hello"] * 3
        assert router(OTHERS).names == ["none"] * 4

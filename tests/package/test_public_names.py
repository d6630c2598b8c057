"""Public names and signatures change only on purpose."""

import difflib
from collections import Counter

import pytest
from public_names import PINNED
from public_names import public_names

import keras_grow

pytestmark = pytest.mark.no_backend


def test_the_public_names_and_signatures_are_the_pinned_ones():
    pinned = PINNED.read_text("utf-8").splitlines()
    changed = difflib.unified_diff(
        pinned, public_names().splitlines(), "pinned", "now", lineterm="", n=0
    )
    told = "\n".join(changed)
    assert not told, (
        f"{told}\nIf that is meant, run `python tests/shared/public_names.py` "
        "and say in CHANGELOG.md what a user has to change."
    )


def test_a_name_is_public_in_one_place():
    packages = [getattr(keras_grow, name) for name in keras_grow._PACKAGES]
    modules = (keras_grow, *packages)
    found = Counter(name for module in modules for name in module.__all__)
    assert [name for name, places in found.items() if places > 1] == []

"""English to French interface strings that Django and Sphinx ship (BSD).

A small translation task that needs nothing but pip: the French message
catalogs of both packages, without strings that hold placeholders or markup.
"""

import hashlib
import importlib.util
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from keras_grow.tasks import prompts
from keras_grow.tasks.example import Example
from keras_grow.tasks.example import Task

PACKAGES = ("django", "sphinx")
# Placeholders of Python's two formats, markup, and line breaks.
_UNCLEAN = re.compile(r"[%{}<>\\_\n\t]|&\w+;|``|--")
_MAGIC = 0x950412DE


def gettext_en_fr(validation_share: float = 0.2) -> Task:
    r"""English to French pairs of interface strings, from installed packages.

    A hash of its English text decides a pair's split, so that it is the same
    for every version of the packages.

    Args:
        validation_share: share of the pairs in the validation split, in (0, 1).
            Defaults to 0.2.

    Returns:
        A task of about 700 pairs in `train` and `validation`, in the order of
        their English text's hash.

    Raises:
        ImportError: if neither Django nor Sphinx is installed.
        ValueError: if `validation_share` is out of range.

    Example:
    ```python
    from keras_grow.tasks import gettext_en_fr

    task = gettext_en_fr()
    task.train[0].prompt  # "English: ...\nFrench:"
    ```
    """
    if not 0.0 < validation_share < 1.0:
        raise ValueError(
            "Expected `validation_share` to be between 0 and 1. "
            f"Received: validation_share={validation_share}"
        )
    pairs: dict[str, str] = {}
    for path in _catalogs():
        for english, french in read_catalog(path):
            if _is_clean(english) and _is_clean(french) and english != french:
                pairs.setdefault(english.strip(), french.strip())
    if not pairs:
        raise ImportError(
            "The strings come with Django and Sphinx, and neither is "
            "installed. Install them with: pip install django sphinx"
        )
    splits: dict[bool, list[Example]] = {True: [], False: []}
    for english in sorted(pairs, key=_hash):
        validates = _hash(english) < validation_share
        splits[validates].append(prompts.translation(english, pairs[english]))
    return Task(
        "gettext_en_fr",
        train=tuple(splits[False]),
        validation=tuple(splits[True]),
        metric="sacrebleu",
    )


def read_catalog(path: Path) -> Iterator[tuple[str, str]]:
    """Singular messages of a compiled gettext catalog, with translations.

    The header, plural forms and messages that a context tells apart are left
    out.
    """
    data = path.read_bytes()
    order = next(
        (o for o in "<>" if data[:4] == struct.pack(o + "I", _MAGIC)), None
    )
    if order is None:
        raise ValueError(
            "Expected a compiled gettext catalog (.mo). "
            f"Received: path={str(path)!r}"
        )
    count, originals, translations = struct.unpack_from(order + "3I", data, 8)
    for index in range(count):
        texts = []
        for table in (originals, translations):
            length, start = struct.unpack_from(
                order + "2I", data, table + 8 * index
            )
            texts.append(data[start : start + length].decode("utf-8"))
        message, translation = texts
        if message and not set("\0\4") & set(message):
            yield message, translation


def _catalogs() -> list[Path]:
    """The French catalogs of the packages; none of them is imported."""
    found: list[Path] = []
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            found.extend(sorted(Path(folder).rglob("fr/LC_MESSAGES/*.mo")))
    return found


def _is_clean(text: str) -> bool:
    """Whether a string is plain words of a moderate length."""
    letters = sum(character.isalpha() for character in text)
    return letters >= 3 and len(text) <= 200 and not _UNCLEAN.search(text)


def _hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64

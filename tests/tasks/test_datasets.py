"""The paper's five tasks, from prepared copies of the real builders.

The builders themselves prepare the copies: only their download is replaced,
by a folder with a few rows in the files' published layout.
"""

import json
import socket

import pytest

from keras_grow.tasks import load_task
from keras_grow.tasks.datasets import math_qa_options
from keras_grow.tasks.datasets import tfds_task
from keras_grow.tasks.rows import MalformedRowError

tfds = pytest.importorskip("tensorflow_datasets")

WINOGRANDE = {
    "qID": "3FCO-1",
    "sentence": "Ian volunteered to eat Dennis's menudo after already having "
    "a bowl because _ despised eating intestine.",
    "option1": "Ian",
    "option2": "Dennis",
    "answer": "2",
}
QASC = {
    "id": "3E7TUJ2EGCLQNOV1WEAJ2NN9ROPD9K",
    "question": {
        "stem": "What type of water formation is formed by clouds?",
        "choices": [
            {"text": "pearls", "label": "A"},
            {"text": "streams", "label": "B"},
            {"text": "rosée", "label": "C"},
        ],
    },
    "answerKey": "B",
    "fact1": "beads of water are formed by water vapor condensing",
}
MATH_QA = {
    "Problem": "the banker ' s gain of a sum is rs . 36",
    "Rationale": "explanation",
    "options": "a ) rs . 400 , b ) rs . 300 , c ) 500 , d ) 350 , e ) none",
    "correct": "a",
    "annotated_formula": "f",
    "linear_formula": "f",
    "category": "gain",
}
SCI_TAIL = [
    "Based on the list provided\tPluto rotates.\tneutral\n",
    "Fish have gills.\tFish breathe with gills.\tentails\n",
]
MTNT = ["0\tI'm so hyped 🎉\tJe suis trop content 🎉\n"]


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def published_files():
    unlabeled = {k: v for k, v in WINOGRANDE.items() if k != "answer"}
    bad_options = {**MATH_QA, "options": "a ) 1 , b ) 2", "correct": "b"}
    files = {"winogrande_1.1/test.jsonl": jsonl(unlabeled)}
    for split in ("train_xs", "train_s", "train_m", "train_l", "dev"):
        files[f"winogrande_1.1/{split}.jsonl"] = jsonl(WINOGRANDE)
    files["winogrande_1.1/train_xl.jsonl"] = jsonl(
        WINOGRANDE, {**WINOGRANDE, "qID": "3FCO-2", "answer": "1"}
    )
    for split in ("train", "dev", "test"):
        files[f"QASC_Dataset/{split}.jsonl"] = jsonl(QASC)
        files[f"{split}.json"] = json.dumps([MATH_QA, bad_options])
        files[f"SciTailV1.1/tsv_format/scitail_1.0_{split}.tsv"] = "".join(
            SCI_TAIL
        )
    for split in ("train", "valid", "test"):
        files[f"MTNT/{split}/{split}.en-fr.tsv"] = "".join(MTNT)
    return files


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with all five data sets, prepared by their own builders."""
    raw = tmp_path_factory.mktemp("published")
    for name, text in published_files().items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(text, "utf-8")
    prepared = tmp_path_factory.mktemp("prepared")

    def give_folder(_, urls):
        folder = tfds.core.Path(raw)
        return dict.fromkeys(urls, folder) if isinstance(urls, dict) else folder

    tfds.disable_progress_bar()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tfds.download.DownloadManager, "download_and_extract", give_folder
        )
        for name in ("winogrande", "mtnt/en-fr", "sci_tail", "qasc", "math_qa"):
            tfds.builder(name, data_dir=prepared).download_and_prepare()
    return prepared


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a prepared data_dir needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_winogrande_trains_on_xl_and_has_no_test_answers(data_dir):
    task = tfds_task("winogrande", data_dir)
    assert task.metric == "multiple_choice"
    assert (len(task.train), len(task.validation), len(task.test)) == (2, 1, 0)
    (example,) = task.validation
    assert example.gold == 1
    assert example.contexts[1].endswith("having a bowl because Dennis")
    assert example.response == " despised eating intestine."
    assert {e.gold for e in task.train} == {0, 1}


def test_mtnt_reads_its_valid_split_as_validation(data_dir):
    task = tfds_task("mtnt", data_dir)
    assert task.metric == "sacrebleu"
    (example,) = task.validation
    assert example.prompt == "English: I'm so hyped 🎉\nFrench:"
    assert example.response == " Je suis trop content 🎉"
    assert len(task.train) == len(task.test) == 1


def test_sci_tail_answers_with_the_builders_label_names(data_dir):
    task = load_task("sci_tail", data_dir)
    assert {e.response for e in task.train} == {" entails", " neutral"}
    (example,) = (e for e in task.test if e.gold == 0)
    assert example.prompt.startswith(
        "Premise: Fish have gills.\nHypothesis: Fish breathe with gills.\n"
    )


def test_qasc_answers_with_the_text_of_the_choice(data_dir):
    task = tfds_task("qasc", data_dir)
    (example,) = task.train
    assert example.choices == (" pearls", " streams", " rosée")
    assert example.response == " streams"
    assert task.test == ()


def test_math_qa_answers_with_the_text_of_the_option(data_dir):
    task = tfds_task("math_qa", data_dir)
    responses = {e.response for e in task.test}
    assert responses == {" rs . 400", " 2"}


def test_splits_and_limit_keep_the_rest_unread(data_dir):
    task = tfds_task("sci_tail", data_dir, splits=["train"], limit=1)
    assert len(task.train) == 1
    assert task.validation == task.test == ()


def test_a_row_without_its_answer_is_named_or_counted(data_dir, monkeypatch):
    from keras_grow.tasks import datasets

    source = datasets._SOURCES["winogrande"]
    monkeypatch.setitem(source.splits, "test", "test")
    with pytest.raises(MalformedRowError, match="winogrande/test, row 1"):
        tfds_task("winogrande", data_dir, splits=["test"], on_error="raise")
    with pytest.warns(UserWarning, match="1 of 1 rows of winogrande/test"):
        task = tfds_task("winogrande", data_dir, splits=["test"])
    assert len(task.skipped) == 1


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a ) 38 , b ) 27.675 , c ) 30", ["38", "27.675", "30"]),
        ("['a ) rs . 1,000', 'b ) none']", ["rs . 1,000", "none"]),
        ("a ) the area ) , b ) x", ["the area )", "x"]),
    ],
)
def test_math_qa_options_are_split_at_their_letters(text, options):
    assert math_qa_options(text) == options


@pytest.mark.no_backend
@pytest.mark.parametrize("text", ["", "38 , 27", "['a ) 1", "[x]"])
def test_options_of_another_form_are_refused(text):
    with pytest.raises(ValueError, match="options"):
        math_qa_options(text)


@pytest.mark.no_backend
def test_misuse_is_refused():
    with pytest.raises(ValueError, match="name='boolq'"):
        tfds_task("boolq")
    with pytest.raises(ValueError, match="splits="):
        tfds_task("qasc", splits=["dev"])

"""A user's own rows: JSONL and CSV."""

import json

import pytest

from keras_grow.tasks import Example
from keras_grow.tasks import file_task
from keras_grow.tasks import load_task
from keras_grow.tasks import read_examples
from keras_grow.tasks.rows import MalformedRowError

pytestmark = pytest.mark.no_backend


def write_jsonl(path, *rows):
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def test_prompt_and_response_are_used_unchanged(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl",
        {"prompt": " Où ? ", "response": "là-bas 🙂\u2028\n", "note": 1},
        {"prompt": "Nothing here:", "response": ""},
        {"prompt": "", "response": "free text"},
    )
    examples, skipped = read_examples(path)
    assert examples == (
        Example(" Où ? ", "là-bas 🙂\u2028\n"),
        Example("Nothing here:", ""),
        Example("", "free text"),
    )
    assert examples[2].source == "a.jsonl, line 3"
    assert skipped == ()


def test_a_csv_holds_the_same_examples_as_a_jsonl(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        '\ufeffprompt,response,note\n"Two\nlines, ""quoted""", oui,\nx,,\n',
        "utf-8",
    )
    assert read_examples(path).examples == (
        Example('Two\nlines, "quoted"', " oui"),
        Example("x", ""),
    )


def test_a_field_of_a_megabyte_is_read_whole(tmp_path):
    text = "é" * 500_000
    path = tmp_path / "a.csv"
    path.write_text(f"prompt,response\n{text},y\n", "utf-8")
    assert read_examples(path).examples[0].prompt == text


@pytest.mark.parametrize("answer", [1, "1", "B", "blue", " blue "])
def test_an_answer_is_an_index_a_letter_or_the_choice_itself(tmp_path, answer):
    path = write_jsonl(
        tmp_path / "a.jsonl",
        {"question": "Sky?", "choices": ["red", "blue"], "answer": answer},
    )
    (example,) = read_examples(path).examples
    assert example.response == " blue"
    assert example.choices == (" red", " blue")
    assert example.gold == 1
    assert example.prompt == "Question: Sky?\nOptions:\n- red\n- blue\nAnswer:"


def test_the_choices_of_a_csv_are_a_json_list_or_split_at_bars(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "question,choices,answer\nSky?,red | blue,B\n"
        'Sky?,"[""red"", ""blue""]",1\n'
    )
    first, second = read_examples(path).examples
    assert first == second


def test_a_number_that_is_both_a_choice_and_an_index_is_refused(tmp_path):
    row = {"question": "1+1?", "choices": ["1", "2", "3"], "answer": "2"}
    path = write_jsonl(tmp_path / "a.jsonl", row)
    with pytest.raises(MalformedRowError, match="more than one choice"):
        read_examples(path)
    write_jsonl(path, {**row, "answer": 1})
    assert read_examples(path).examples[0].response == " 2"


def test_rows_of_public_data_sets_are_read_by_their_field_names(tmp_path):
    scitail = write_jsonl(
        tmp_path / "scitail.jsonl",
        {"premise": "p", "hypothesis": "h", "label": "not_entailment"},
    )
    maths = write_jsonl(
        tmp_path / "maths.jsonl",
        {"question": "q", "choices": ["7", "8"], "gold": 1},
    )
    pairs = write_jsonl(tmp_path / "pairs.jsonl", {"en": "cat", "fr": "chat"})
    assert read_examples(scitail).examples[0].response == " neutral"
    assert read_examples(maths).examples[0].response == " 8"
    assert file_task("pairs", train=pairs).metric == "sacrebleu"
    assert file_task("scitail", test=scitail).metric == "exact_match"


def test_columns_of_other_names_are_mapped(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", {"input": "x", "output": "y"})
    fields = {"prompt": "input", "response": "output"}
    assert read_examples(path, fields=fields).examples == (Example("x", "y"),)
    with pytest.raises(ValueError, match=r"columns=\['input', 'output'\]"):
        read_examples(path)


def test_a_csv_with_an_index_and_blank_lines_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b",prompt,response\n0,x,y\n\n\n1,z\n")
    with pytest.warns(UserWarning, match="1 of 2 rows"):
        examples, skipped = read_examples(path, on_error="skip")
    assert examples == (Example("x", "y"),)
    assert "line 5" in skipped[0]


MALFORMED = [
    (b'{"prompt": "x"', "one JSON object per line"),
    (b'["x", "y"]', "a JSON object. Received"),
    (b'{"prompt": "x"}', r"the fields \['response'\]"),
    (b'{"prompt": "x", "response": null}', "`response` to be text"),
    (b'{"prompt": "\xff", "response": "y"}', "UTF-8"),
    (rb'{"prompt": "\ud83d", "response": "y"}', "valid Unicode"),
]


@pytest.mark.parametrize(("line", "message"), MALFORMED)
def test_a_malformed_line_is_named_or_counted(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    good = b'{"prompt": "x", "response": "y"}\n'
    path.write_bytes(good + b"\n" + line + b"\n" + good)
    with pytest.raises(
        MalformedRowError, match=rf"a.jsonl, line 3: .*{message}"
    ):
        read_examples(path)
    with pytest.warns(UserWarning, match="1 of 3 rows of a.jsonl"):
        examples, skipped = read_examples(path, on_error="skip")
    assert len(examples) == 2
    assert len(skipped) == 1
    assert "line 3" in skipped[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"only one", "2 fields as in the header"),
        (b"one,two,three", "2 fields as in the header"),
        (b"\xff,y", "valid Unicode"),
        (b'"x"z,y', "a record of a CSV"),
    ],
)
def test_a_malformed_record_of_a_csv_is_named_or_counted(
    tmp_path, line, message
):
    path = tmp_path / "a.csv"
    # Good UTF-8 beside it, or the file would be in Windows-1252.
    path.write_bytes(b"prompt,response\nx,y\n" + line + b"\n\xc3\xa9,y\n")
    with pytest.raises(MalformedRowError, match=rf"a.csv, line 3: .*{message}"):
        read_examples(path)
    with pytest.warns(UserWarning, match="1 of 3 rows of a.csv"):
        examples, _ = read_examples(path, on_error="skip")
    assert len(examples) == 2


def test_an_empty_file_holds_no_examples(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n")
    assert read_examples(path).examples == ()


def test_files_make_a_task_by_name(tmp_path):
    rows = {"prompt": "x", "response": "y"}
    train = write_jsonl(tmp_path / "t.jsonl", rows, rows)
    validation = write_jsonl(tmp_path / "v.jsonl", rows)
    task = load_task(f"{train},{validation}")
    assert (len(task.train), len(task.validation), len(task.test)) == (2, 1, 0)
    assert task.metric == "exact_match"


def test_misuse_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"to end in one of .*a.xlsx"):
        read_examples(tmp_path / "a.xlsx")
    with pytest.raises(FileNotFoundError):
        read_examples(tmp_path / "absent.jsonl")
    path = write_jsonl(tmp_path / "a.jsonl", {"prompt": "x", "response": "y"})
    with pytest.raises(ValueError, match="`format` to be one of"):
        read_examples(path, format="sharegpt")
    with pytest.raises(ValueError, match="`on_error` to be"):
        read_examples(path, on_error="ignore")
    with pytest.raises(ValueError, match="at least one split"):
        file_task("mine")
    with pytest.raises(ValueError, match="`name` to be one of"):
        load_task("wino")

"""Files of every supported format, and errors in them."""

import gzip
import json
import sys

import pytest

from keras_grow.tasks import Example
from keras_grow.tasks import file_task
from keras_grow.tasks import load_task
from keras_grow.tasks import read_examples
from keras_grow.tasks.rows import MalformedRowError

pytestmark = pytest.mark.no_backend

ROWS = [
    {"prompt": "Où ?", "response": "là-bas 🙂\u2028"},
    {"prompt": "two\nlines", "response": ""},
    {"prompt": "x", "response": "y"},
]
EXPECTED = tuple(Example(row["prompt"], row["response"]) for row in ROWS)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", lines(*ROWS)),
        ("a.jsonl", b"\xef\xbb\xbf" + lines(*ROWS)),
        ("A.JSONL", lines(*ROWS).replace(b"\n", b"\r\n")),
        ("a.jsonl.gz", gzip.compress(lines(*ROWS))),
        ("a.json", json.dumps(ROWS).encode()),
        ("a.json", b"\xef\xbb\xbf\n " + json.dumps(ROWS, indent=2).encode()),
        ("a.json.gz", gzip.compress(json.dumps(ROWS).encode())),
        ("a.json", lines(*ROWS)),
        ("a.json", json.dumps(ROWS, ensure_ascii=False).encode()),
    ],
)
def test_json_gives_the_same_rows_in_every_format(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    assert read_examples(path).examples == EXPECTED
    assert load_task(str(path)).train == EXPECTED


def test_elements_of_an_array_are_named_by_their_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(ROWS, indent=1).encode())
    sources = [e.source for e in read_examples(path).examples]
    assert sources == [f"a.json, line {line}" for line in (2, 6, 10)]
    path.write_text("[]")
    assert read_examples(path).examples == ()


GOOD = '{"prompt": "x", "response": "y"}'
DIGITS = '{"prompt": "x", "response": ' + "9" * 5000 + "}"
DEEP = '{"prompt": "x", "response": ' + "[" * 100_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (DIGITS, "too many digits"),
        (DEEP, "nested too deeply"),
        (DEEP + "]" * 100_000 + "}", "nested too deeply"),
        (GOOD + GOOD, "more than one value"),
        ('{"prompt": NaN, "response": "y"}', "`prompt` to be text"),
    ],
)
def test_every_error_in_json_names_file_and_line(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n{line}\n{GOOD}\n")
    with pytest.raises(
        MalformedRowError, match=rf"a.jsonl, line 2: .*{message}"
    ) as caught:
        read_examples(path)
    assert len(str(caught.value)) < 1000
    with pytest.warns(UserWarning, match="1 of 3 rows of a.jsonl"):
        examples, _ = read_examples(path, on_error="skip")
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (f"[{GOOD},\n{GOOD}\n", 3, "ends in `]`"),
        (f"[{GOOD},\n{GOOD}]\nmore", 2, "ends in `]`"),
        (f"[{GOOD},\n{DIGITS}]", 2, "too many digits"),
        (f"[{GOOD},\n{DEEP}]", 2, "nested too deeply"),
        (f"[{GOOD},\n]", 2, "an array of objects|a JSON array"),
        (f"[{GOOD},\n{GOOD[:-3]}\n]", 2, "a JSON array"),
        (f"[{GOOD},\n[1]]", 2, "a JSON object. Received"),
        (f"[{GOOD},\n3]", 2, "a JSON object. Received: 3"),
        (f"[{GOOD},\n\udcff]", 2, "UTF-8"),
    ],
)
def test_an_error_in_an_array_names_its_line(tmp_path, text, line, message):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(
        MalformedRowError, match=rf"a.json, line {line}: .*({message})"
    ):
        read_examples(path)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_of_a_csv_is_detected_and_reported(tmp_path, separator):
    path = tmp_path / "a.csv"
    rows = [["Prompt", " RESPONSE "], ['"a, b"', "c, d"], ["1,5", "2,5"]]
    path.write_text("".join(separator.join(row) + "\n" for row in rows))
    names = {";": "semicolons", "\t": "tabs", "|": "bars"}
    with pytest.warns(UserWarning, match=f"a.csv is .*{names[separator]}"):
        found = read_examples(path).examples
    assert found == (Example("a, b", "c, d"), Example("1,5", "2,5"))


def test_tabs_in_a_tsv_give_no_warning(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"prompt\tresponse\nx\ty\n"))
    (example,) = read_examples(tmp_path / "a.tsv.gz").examples
    assert example == Example("x", "y")
    plain = tmp_path / "b.tsv"
    plain.write_bytes(b"prompt\tresponse\nx\ty\n")
    assert read_examples(plain).examples == (example,)


def test_a_comma_within_a_header_does_not_separate(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt;response;note, if any, of whom\nx;y;\n")
    with pytest.warns(UserWarning, match="semicolons"):
        assert read_examples(path).examples == (Example("x", "y"),)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
)
def test_a_csv_in_unicode_is_read_without_a_warning(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("Prompt,response\nOù ?,là-bas 🙂\n".encode(encoding))
    assert read_examples(path).examples == (Example("Où ?", "là-bas 🙂"),)


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("prompt,response,response,,\na,b,c,,\n")
    with pytest.raises(ValueError, match=r"\['response'\] more than once"):
        read_examples(path)


def test_windows_1252_is_read_with_a_warning(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("prompt,response\nOù ?,là-bas : 5 €\n".encode("cp1252"))
    with pytest.warns(UserWarning, match=r"a.csv .*as Windows-1252"):
        found = read_examples(path).examples
    assert found == (Example("Où ?", "là-bas : 5 €"),)


def test_a_file_that_is_partly_utf8_is_damaged_and_not_windows_1252(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"prompt,response\n\xc3\xa9,y\n\xff,y\n")
    with pytest.raises(MalformedRowError, match=r"line 3: .*valid Unicode"):
        read_examples(path)


def test_column_names_ignore_case(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines({"Prompt": "x", "RESPONSE": "y"}))
    assert read_examples(path).examples == (Example("x", "y"),)
    path.write_bytes(lines({"Prompt": "no", "prompt": "x", "response": "y"}))
    assert read_examples(path).examples == (Example("x", "y"),)
    path.write_bytes(lines({"In": "x", "Out": "y"}, {"out": "b", "in": "a"}))
    fields = {"prompt": "in", "response": "out"}
    found = read_examples(path, fields=fields).examples
    assert found == (Example("x", "y"), Example("a", "b"))


def test_a_data_set_and_a_parquet_file_hold_the_same_rows(tmp_path):
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("pyarrow")
    chat = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Why"},
    ]
    data = datasets.Dataset.from_list(ROWS)
    assert read_examples(data).examples == EXPECTED
    assert read_examples(ROWS).examples == EXPECTED
    assert read_examples(data.to_iterable_dataset()).examples == EXPECTED
    assert file_task("mine", train=data).train[2].source == "row 3"
    path = tmp_path / "a.parquet"
    data.to_parquet(path)
    found = load_task(str(path)).train
    assert found == EXPECTED
    assert found[1].source == "a.parquet, row 2"
    chats = datasets.Dataset.from_list([{"messages": chat}])
    chats.to_parquet(path)
    (example,) = read_examples(chats, template="gemma").examples
    assert read_examples(path, template="gemma").examples == (example,)
    assert example.response == "Why"
    with pytest.raises(ValueError, match=r"one split.*\['test', 'train'\]"):
        read_examples(datasets.DatasetDict(train=data, test=data))


def test_a_malformed_row_of_a_parquet_file_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    path = tmp_path / "a.parquet"
    columns = {"prompt": ["x", "x"], "response": ["y", None]}
    write_table(pyarrow.table(columns), path)
    with pytest.raises(MalformedRowError, match=r"a.parquet, row 2: .*None"):
        read_examples(path)
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match=r"a.parquet to be a Parquet file"):
        read_examples(path)
    with pytest.raises(ValueError, match="Parquet without gzip"):
        read_examples(tmp_path / "a.parquet.gz")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"\.\[parquet\]"):
        read_examples(tmp_path / "a.parquet")


def test_chats_without_jinja_say_what_to_install(monkeypatch):
    from keras_grow.tasks import ChatTemplate

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"\.\[chat\]"):
        ChatTemplate("{{ 'never compiled before' }}")


@pytest.mark.parametrize("cut", [20, -4])
def test_a_truncated_gzip_is_refused(tmp_path, cut):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(lines(*ROWS * 50))[:cut])
    with pytest.raises(ValueError, match=r"a.jsonl.gz to be a whole gzip"):
        read_examples(path)
    path.write_bytes(lines(*ROWS))
    with pytest.raises(ValueError, match=r"a.jsonl.gz to be a whole gzip"):
        read_examples(path)


def test_a_row_of_text_trains_on_all_of_it(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines({"text": "Once upon a time"}))
    assert read_examples(path).examples == (Example("", "Once upon a time"),)
    path.write_bytes(lines({"text": "Once", "url": "u"}))
    with pytest.raises(ValueError, match=r'format="text"'):
        read_examples(path)
    found = read_examples(path, format="text").examples
    assert found == (Example("", "Once"),)


def test_values_that_are_not_rows_are_refused():
    with pytest.raises(TypeError, match=r"other rows. Received: int"):
        read_examples(3)
    with pytest.raises(MalformedRowError, match=r"row 2: .*Received: 'x'"):
        read_examples([ROWS[0], "x"])

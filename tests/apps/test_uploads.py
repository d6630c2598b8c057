"""Uploads are read as people have them, or refused in words."""

import csv
import gzip
import io
import json

import pytest
from keras_grow.app.lesson import Lesson
from keras_grow.app.train_form import check as choosers
from keras_grow.app.train_words import upload
from keras_grow.app.uploads import Reading
from keras_grow.app.uploads import Refused
from keras_grow.app.uploads import UnknownColumns
from keras_grow.app.uploads import check

from keras_grow.comparison import Plan

pytestmark = pytest.mark.no_backend
PAIRS = [{"prompt": f"{n} + 1 =", "response": f" {n + 1}"} for n in range(20)]
ROWS = "".join(json.dumps(row) + "\n" for row in PAIRS)


def table(separator, names=("prompt", "response")):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator)
    writer.writerows([names, *(row.values() for row in PAIRS)])
    return file.getvalue()


def parquet():
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    file = io.BytesIO()
    write_table(pyarrow.Table.from_pylist(PAIRS), file)
    return file.getvalue()


CHATS = [
    {
        "messages": [
            {"role": "user", "content": row["prompt"]},
            {"role": "assistant", "content": row["response"]},
        ]
    }
    for row in PAIRS
]
ALPACA = [
    {"instruction": row["prompt"], "input": "", "output": row["response"]}
    for row in PAIRS
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", ROWS),
        ("rows.json", json.dumps(PAIRS)),
        ("rows.csv", table(",")),
        ("rows.csv", "\ufeff" + table(";", ("Prompt", "RESPONSE"))),
        ("rows.tsv", table("\t")),
        ("rows.csv", table(";").replace("+", "é").encode("cp1252")),
        ("rows.jsonl.gz", gzip.compress(ROWS.encode())),
        ("rows.parquet", parquet),
        ("chats.jsonl", "\n".join(map(json.dumps, CHATS))),
        ("alpaca.json", json.dumps(ALPACA)),
    ],
)
def test_the_files_that_people_have_become_a_task_with_a_split(
    tmp_path, name, content
):
    content = content() if callable(content) else content
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(data)
    rows = check(str(tmp_path / name))
    assert (len(rows.examples), rows.held_out) == (20, 4)
    plan = Lesson().write(tmp_path, rows, "model", "float32")
    assert Plan.from_json(plan.to_json()) == plan
    task = plan.load_task()
    assert (len(task.train), len(task.validation)) == (16, 4)
    assert {e.prompt for e in (*task.train, *task.validation)} == {
        e.prompt for e in rows.examples
    }
    said = upload(rows)
    assert "16 to learn from, 4 to measure" in said
    assert ("Windows-1252" in said) == (b" \xe9 " in data)
    chats = name.startswith(("chats", "alpaca"))
    assert ("written as gemma does" in said) == chats
    assert (plan.template == "gemma") == chats
    assert all(("<start_of_turn>" in e.prompt) == chats for e in task.train)


def test_columns_of_unknown_names_are_chosen(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text(table(",", ("Frage", "Antwort")), "utf-8")
    with pytest.raises(UnknownColumns, match="Frage, Antwort"):
        check(str(file))
    rows, said, prompt, answer, template = choosers(str(file))
    assert rows is None
    assert "Choose the column" in said
    assert prompt.choices == [("Frage", "Frage"), ("Antwort", "Antwort")]
    assert (prompt.visible, answer.visible) == (True, True)
    assert not template.visible
    rows = check(str(file), Reading("Frage", "Antwort"))
    task = Lesson().write(tmp_path, rows, "m", "float32").load_task()
    assert task.train[0].response == " 1"


def test_bad_rows_are_left_out_and_counted(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(
        ROWS
        + '[\n{"prompt": "a", "response": " "}\n{"prompt": 3}\n'
        + json.dumps({"prompt": "a" * 9000, "response": "b"}),
        "utf-8",
    )
    rows = check(str(file))
    assert len(rows.examples) == 20
    lines = [line.partition(": ")[0] for line in rows.skipped]
    assert sorted(lines) == [f"rows.jsonl, line {n}" for n in range(21, 25)]
    assert "4 rows were left out" in upload(rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.txt", ROWS, "not rows.txt"),
        (
            "rows.jsonl",
            ROWS[: ROWS.index("7 +")],
            "rows in rows.jsonl: 7",
        ),
        ("rows.jsonl", "", "rows in rows.jsonl: 0"),
        ("rows.jsonl", '{"prompt": "a", "response": "b"}\n' * 9, "too few"),
        ("rows.csv", "x,y\n1,2\n", "does not know the names"),
        ("rows.jsonl", "[" * 100_000, "cannot be read|Usable rows"),
        ("rows.jsonl", ROWS * 1_001, "20,020 rows"),
        ("rows.jsonl", ROWS * 8_000, "At most 5 MB"),
        ("rows.parquet", "PAR1", "cannot be read"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(
    tmp_path, name, content, message
):
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(Refused, match=message):
        check(str(tmp_path / name))


def test_an_uploaded_translation_is_measured_as_one(tmp_path):
    lines = [f"Good night {n}.,Bonne nuit {n}.\n" for n in range(10)]
    file = tmp_path / "rows.csv"
    file.write_text("en,fr\n" + "".join(lines), "utf-8")
    plan = Lesson().write(tmp_path, check(str(file)), "m", "float32")
    assert plan.load_task().metric == "sacrebleu"

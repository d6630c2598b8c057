"""Chats in a user's files: their formats, and malformed ones."""

import json

import pytest

from keras_grow.tasks import ChatTemplate
from keras_grow.tasks import Example
from keras_grow.tasks import chat_example
from keras_grow.tasks import file_task
from keras_grow.tasks import load_task
from keras_grow.tasks import read_examples
from keras_grow.tasks.example import Turn
from keras_grow.tasks.rows import MalformedRowError

pytestmark = pytest.mark.no_backend

CHAT = [
    {"role": "system", "content": "Rhyme."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Why"},
    {"role": "user", "content": "So"},
    {"role": "assistant", "content": "No"},
]
BEFORE = (
    "<start_of_turn>user\nRhyme.\n\nHi<end_of_turn>\n<start_of_turn>model\n"
)
BETWEEN = "\n<start_of_turn>user\nSo<end_of_turn>\n<start_of_turn>model\n"
END = "<end_of_turn>"
EXPECTED = Example(
    f"{BEFORE}Why{END}{BETWEEN}",
    "No",
    turns=(Turn(BEFORE, "Why", END), Turn(BETWEEN, "No", END)),
)
USER, ANSWER = CHAT[1:3]


def write(path, *rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return path


def shared_gpt(names=("system", "human", "gpt")):
    roles = dict(zip(("system", "user", "assistant"), names, strict=True))
    return [{"from": roles[m["role"]], "value": m["content"]} for m in CHAT]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": CHAT},
        {"messages": CHAT[1:], "system": "Rhyme."},
        {"conversations": shared_gpt()},
        {"conversations": shared_gpt(("system", "user", "model"))},
        {"conversations": shared_gpt()[1:], "system": "Rhyme."},
        {"conversations": CHAT, "id": 7},
        {"messages": json.dumps(CHAT)},
        {
            "messages": [
                {**m, "content": [{"type": "text", "text": m["content"]}]}
                for m in CHAT
            ]
        },
    ],
)
def test_a_chat_is_the_same_in_every_format(tmp_path, row):
    path = write(tmp_path / "a.jsonl", row)
    (example,) = read_examples(path, template="gemma").examples
    assert example == EXPECTED
    assert example.source == "a.jsonl, line 1"


def test_alpaca_is_a_chat_of_two_turns(tmp_path):
    path = write(
        tmp_path / "a.jsonl",
        {"instruction": "Add.", "input": "1 and 2", "output": "3"},
        {"instruction": "Greet.", "input": "", "output": "Hello"},
        {"instruction": "Part.", "output": "Bye"},
    )
    found = read_examples(path, template="chatml").examples
    assert [example.response for example in found] == ["3", "Hello", "Bye"]
    begin, end = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    assert [example.prompt for example in found] == [
        f"{begin}Add.\n\n1 and 2{end}",
        f"{begin}Greet.{end}",
        f"{begin}Part.{end}",
    ]


def test_pairs_become_chats_if_a_template_is_given(tmp_path):
    path = write(tmp_path / "a.jsonl", {"prompt": "Hi", "response": "Why"})
    (example,) = read_examples(path, template="llama3").examples
    assert example == chat_example([USER, ANSWER], "llama3")
    assert read_examples(path).examples == (Example("Hi", "Why"),)


def test_a_task_of_chats_is_loaded_by_name(tmp_path):
    path = write(tmp_path / "a.jsonl", {"messages": CHAT})
    assert load_task(str(path), template="gemma").train == (EXPECTED,)
    assert file_task("mine", test=path, template="gemma").test == (EXPECTED,)
    with pytest.raises(ValueError, match="only with a task of files"):
        load_task("winogrande", template="gemma")
    with pytest.raises(ValueError, match=r"`template` for the chats of a.js"):
        load_task(str(path))


def test_a_users_own_template_in_jinja():
    source = (
        "{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    example = chat_example(CHAT[1:], source)
    assert example.turns == (
        Turn("user: Hi\nassistant: ", "Why", "\n"),
        Turn("user: So\nassistant: ", "No", "\n"),
    )
    tagged = source.replace(
        "{{ m.role ~ ': ' ~ m.content ~ '\n' }}",
        "{{ m.role ~ ': ' }}{% generation %}{{ m.content ~ '\n' }}"
        "{% endgeneration %}",
    )
    with pytest.raises(ValueError, match=r"2 answers. Received: 4"):
        chat_example(CHAT[1:], tagged)
    only = tagged.replace(
        "{% generation %}",
        "{% if m.role == 'user' %}{{ m.content ~ '\n' }}{% else %}"
        "{% generation %}",
    ).replace("{% endgeneration %}", "{% endgeneration %}{% endif %}")
    assert chat_example(CHAT[1:], only) == example


def test_an_end_after_only_the_last_answer_leaves_the_others_whole():
    source = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}|"
        "{% else %}{% generation %}{{ m.content }}"
        "{% if loop.last %}<end>{% endif %}{% endgeneration %}{% endif %}"
        "{% endfor %}"
    )
    assert chat_example(CHAT[1:], source).turns == (
        Turn("Hi|", "Why", ""),
        Turn("So|", "No", "<end>"),
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% for m in messages %}\n{{ m.content }}", "Jinja. Line 2"),
        ("{% if messages %}{{ '</s>' }", "Jinja. Line 1"),
        ("{% gone %}{{ 1 }}", "unknown tag 'gone'"),
        ("llama5", "one of .'gemma'.*template='llama5'"),
        (None, "template=None"),
    ],
)
def test_a_template_with_a_fault_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        chat_example([USER, ANSWER], source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ raise_exception('no chats on Sundays') }}", "no chats on Sundays"),
        ("{{ messages[9].content }}", "has no element 9"),
        ("{{ messages[0].content + 1 }}", "fails with TypeError"),
        ("{{ 1 // 0 }}", "fails with ZeroDivisionError"),
        # What a sandbox is for.
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{% set _ = messages.append(1) %}", "unsafe"),
        ("{{ range(10 ** 9) | list }}", "Range too big"),
    ],
)
def test_a_template_that_fails_on_a_chat_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        chat_example([USER, ANSWER], source)


BAD = [
    ([], "turns in it. Received: none"),
    ([USER], "last turn is an assistant's.*role 'user'"),
    ([USER, ANSWER, USER], "last turn is an assistant's.*role 'user'"),
    ([USER, {"role": "tool", "content": "x"}], "turn 2 .*role='tool'"),
    ([{"role": "system", "content": "x"}], "last turn .* role 'system'"),
    ([USER, ANSWER, CHAT[0], USER, ANSWER], "system turn to come first"),
    ([USER, {"role": ["assistant"], "content": "x"}], "turn 2 .*role="),
    ([USER, {"role": "assistant"}], "turn 2 to be text. .*None"),
    ([USER, {"role": "assistant", "content": 3}], "turn 2 to be text"),
    (
        [{"role": "user", "content": [{"type": "image"}]}, ANSWER],
        "turn 1 to be text",
    ),
    ([USER, "Why"], "turn 2 to be an object with `role`"),
    ([USER, {"role": "assistant", "content": "\ud83d"}], "valid Unicode"),
    ([ANSWER], "must alternate"),
    ([USER, USER, ANSWER], "must alternate"),
    ("Hi", "a list of turns, or one in JSON"),
    (None, "a list of turns. Received: NoneType"),
    ({"role": "user"}, "a list of turns. Received: dict"),
]


@pytest.mark.parametrize(("messages", "message"), BAD)
def test_a_malformed_chat_is_named_or_counted(tmp_path, messages, message):
    good = {"messages": CHAT}
    path = write(tmp_path / "a.jsonl", good, {"messages": messages}, good)
    with pytest.raises(
        MalformedRowError, match=rf"(?s)a.jsonl, line 2: .*{message}"
    ):
        read_examples(path, template="gemma")
    with pytest.warns(UserWarning, match="1 of 3 rows of a.jsonl"):
        examples, skipped = read_examples(
            path, template="gemma", on_error="skip"
        )
    assert examples == (EXPECTED, EXPECTED)
    assert len(skipped) == 1


def test_a_template_beside_rows_of_another_kind_is_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", {"en": "cat", "fr": "chat"})
    with pytest.raises(ValueError, match=r"rows of 'translation' in a.jsonl"):
        read_examples(path, template="gemma")


def test_a_response_that_is_not_the_last_answer_is_refused():
    with pytest.raises(ValueError, match="the last turn's answer"):
        Example("x", "y", turns=(Turn("x", "z", ""),))


def test_the_fields_of_a_template_must_be_text():
    with pytest.raises(TypeError, match="`eos_token` to be text"):
        ChatTemplate("{{ 1 }}", eos_token=2)

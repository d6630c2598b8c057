"""Templates against the published ones, rendered by transformers."""

import itertools
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from keras_grow.tasks import ChatTemplate
from keras_grow.tasks.chat_templates import TEMPLATES

pytestmark = pytest.mark.no_backend

PUBLISHED = Path(__file__).parent / "published_templates"
# Ours, the published file, and whether that takes a system turn.
PAIRS = [
    ("gemma", "gemma3", True),
    ("gemma", "gemma", False),
    ("llama3", "llama3", True),
    ("llama3.1", "llama3_1", True),
    ("llama3.1", "llama3_2", True),
    ("chatml", "smollm", True),
    ("qwen2.5", "qwen2_5", True),
    ("qwen3", "qwen3", True),
    ("smollm2", "smollm2", True),
    ("smollm3", "smollm3", True),
    ("mistral", "mistral_v0_2", True),
]
SYSTEM = ["Be brief.", "  Spaces \n round ", "/no_think", "Go /think on"]
USER = ["Hello", "  two\n\nlines ", "é 🙂 {{ bos_token }} {% if %}"]
ANSWERS = [
    "Good day.",
    "\n\n so  ",
    "",
    "<think>\nhm\n</think>\n\nyes",
    "<think>a</think>b</think>\nc",
]


def chats(system):
    """Chats of one to three answers, with a system turn and without."""
    for rounds, lead in itertools.product((1, 2, 3), (None, *SYSTEM)):
        if lead and not system:
            continue
        turns = [{"role": "system", "content": lead}] if lead else []
        for number in range(rounds):
            for role, texts in (("user", USER), ("assistant", ANSWERS)):
                text = texts[(number + 2 * rounds) % len(texts)]
                turns.append({"role": role, "content": text})
        yield turns


@pytest.fixture(scope="module")
def theirs():
    """`apply_chat_template` of a tokenizer with a published template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    def render(name, template, turns, **variables):
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel({"?": 0}, unk_token="?")),
            bos_token=template.bos_token or None,
            eos_token=template.eos_token,
        )
        tokenizer.chat_template = (PUBLISHED / f"{name}.jinja").read_text()
        return tokenizer.apply_chat_template(turns, tokenize=False, **variables)

    return render


def variables_of(name):
    yield {}
    if name == "llama3_1":
        yield {"date_string": "1 May 2025"}
    if name in ("qwen3", "smollm3"):
        yield {"enable_thinking": False}
        yield {"enable_thinking": True}


@pytest.mark.parametrize(("name", "published", "system"), PAIRS)
def test_a_template_renders_the_text_of_the_published_one(
    theirs, name, published, system
):
    template = ChatTemplate.of(name)
    compared = 0
    for variables in variables_of(published):
        if published == "llama3_2":
            variables = {"date_string": "26 Jul 2024"}
        for turns in chats(system):
            for prompt in (False, True):
                if prompt:
                    turns = turns[:-1]
                ours = template.render(
                    turns, add_generation_prompt=prompt, **variables
                )
                assert ours == theirs(
                    published,
                    template,
                    turns,
                    add_generation_prompt=prompt,
                    **variables,
                )
                compared += 1
    assert compared >= 6


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_compared_with_a_published_one(name):
    assert name in [pair[0] for pair in PAIRS]


@pytest.mark.parametrize(("name", "published", "system"), PAIRS)
def test_the_turns_add_up_to_the_text(name, published, system):
    template = ChatTemplate.of(name)
    for messages in chats(system):
        whole = template.render(messages).removeprefix(template.bos_token)
        turns = template.turns(messages)
        joined = "".join("".join(turn) for turn in turns)
        assert whole.startswith(joined)
        assert not whole[len(joined) :].strip()
        assert len({turn.end for turn in turns}) == 1
        assert turns[0].end in (
            "<end_of_turn>",
            "<|eot_id|>",
            "<|im_end|>",
            "</s>",
        )
        last = messages[-1]["content"].rpartition("</think>")[2].strip()
        assert turns[-1].answer.strip().endswith(last)


@pytest.mark.parametrize(
    ("name", "published", "system"),
    [pair for pair in PAIRS if pair[1] not in ("qwen3", "smollm3")],
)
def test_a_published_template_gives_the_same_turns_without_tags(
    name, published, system
):
    ours = ChatTemplate.of(name)
    source = (PUBLISHED / f"{published}.jinja").read_text()
    theirs = ChatTemplate(source, ours.bos_token, ours.eos_token)
    dated = {"date_string": "26 Jul 2024"} if "llama3_2" in published else {}
    for messages in chats(system):
        assert theirs.turns(messages, **dated) == ours.turns(messages)


def test_a_template_that_rewrites_earlier_turns_is_refused_without_tags():
    template = ChatTemplate.of((PUBLISHED / "qwen3.jinja").read_text())
    one, two = next(chats(False)), list(chats(False))[1]
    assert template.turns(one) == ChatTemplate.of("qwen3").turns(one)
    with pytest.raises(ValueError, match=r"turn 2. Put {% generation %}"):
        template.turns(two)


def test_the_system_turn_goes_where_the_authors_put_it():
    turns = [
        {"role": "system", "content": "Rhyme."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Why"},
    ]
    gemma = ChatTemplate.of("gemma").render(turns)
    assert gemma == (
        "<bos><start_of_turn>user\nRhyme.\n\nHi<end_of_turn>\n"
        "<start_of_turn>model\nWhy<end_of_turn>\n"
    )
    mistral = ChatTemplate.of("mistral").render(turns)
    assert mistral == "<s> [INST] Rhyme.\n\nHi [/INST] Why</s>"

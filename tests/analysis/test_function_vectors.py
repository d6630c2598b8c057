"""Tasks become prompts, prompts a function vector, and vectors a table."""

import json
import math

import numpy as np
import pytest
from tiny_models import tiny_lm
from word_tokens import UPPER
from word_tokens import Words

from keras_grow.analysis import FunctionVector
from keras_grow.analysis import InContextTask
from keras_grow.analysis import built_in_tasks
from keras_grow.analysis import compare_with_base
from keras_grow.analysis import find_function_vector
from keras_grow.analysis import kept_table
from keras_grow.analysis import task_prompts
from keras_grow.analysis.causal_heads import causal_indirect_effects
from keras_grow.analysis.causal_heads import mean_head_activations
from keras_grow.analysis.function_vectors import function_vector
from keras_grow.analysis.function_vectors import top_heads

TASK = UPPER


class Bytes:
    """A tokenizer of one token per byte, shifted past the special ones."""

    pad_token_id, start_token_id = 0, 2

    def __call__(self, texts):
        return [[byte + 4 for byte in text.encode()] for text in texts]

    @staticmethod
    def text(row, length):
        assert row[0] == 2
        assert not row[length:].any()
        return bytes(int(t) - 4 for t in row[1:length]).decode()


def texts(batch) -> list[str]:
    return [
        Bytes.text(row, n)
        for row, n in zip(batch.token_ids, batch.lengths, strict=True)
    ]


@pytest.mark.no_backend
def test_six_or_more_tasks_come_with_forty_or_more_distinct_pairs():
    assert len(built_in_tasks()) >= 6
    for name in built_in_tasks():
        task = InContextTask.built_in(name)
        assert task.name == name
        assert len({x for x, _ in task.pairs}) == len(task.pairs) >= 40


@pytest.mark.no_backend
def test_prompts_show_the_task_unless_they_are_corrupted():
    drawn = task_prompts(TASK, Bytes(), prompts=8, shots=3)
    answers = dict(TASK.pairs)
    for clean, bad, bare, target in zip(
        texts(drawn.clean),
        texts(drawn.corrupted),
        texts(drawn.zero_shot),
        drawn.clean.targets,
        strict=True,
    ):
        *examples, question = clean.split("\n\n")
        assert question == bare
        asked = question.removeprefix("Q: ").removesuffix("\nA:")
        assert target == ord(" ") + 4
        shown = [e.removeprefix("Q: ").split("\nA: ") for e in examples]
        assert len(shown) == 3
        assert all(answers[x] == y for x, y in shown)
        assert asked not in [x for x, _ in shown]
        *examples, question = bad.split("\n\n")
        wrong = [e.removeprefix("Q: ").split("\nA: ") for e in examples]
        assert question == bare
        assert [x for x, _ in wrong] == [x for x, _ in shown]
        assert sorted(y for _, y in wrong) == sorted(y for _, y in shown)
        assert all(answers[x] != y for x, y in wrong)


@pytest.mark.no_backend
def test_the_same_seed_draws_the_same_prompts():
    one, two, other = (
        texts(task_prompts(TASK, Bytes(), seed=s).clean) for s in (1, 1, 2)
    )
    assert one == two != other


@pytest.mark.no_backend
def test_a_task_of_ones_own_is_read_from_json(tmp_path):
    path = tmp_path / "upper.json"
    path.write_text(json.dumps({"name": "upper", "pairs": TASK.pairs}))
    assert InContextTask.load(path) == TASK


def test_finding_a_function_vector_is_its_steps_in_one(tmp_path):
    lm = tiny_lm(num_layers=1)
    found = find_function_vector(
        lm, TASK, Words(), prompts=2, shots=2, top=3, verbose=0
    )
    drawn = task_prompts(TASK, Words(), prompts=2, shots=2)
    assert drawn.clean.token_ids.shape == (2, 12)
    means = mean_head_activations(lm, drawn.clean)
    effects = causal_indirect_effects(lm, drawn.corrupted, means.activations)
    np.testing.assert_allclose(found.effects, effects.mean(axis=0), atol=1e-7)
    assert found.heads == top_heads(effects.mean(axis=0), 3)
    np.testing.assert_allclose(
        found.vector,
        sum(means.contributions[layer, head] for layer, head in found.heads),
        atol=1e-6,
    )
    found.save(tmp_path / "upper.json")
    loaded = FunctionVector.load(tmp_path / "upper.json")
    assert (loaded.task, loaded.heads) == (found.task, found.heads)
    np.testing.assert_array_equal(loaded.vector, found.vector)
    np.testing.assert_array_equal(loaded.effects, found.effects)


@pytest.mark.no_backend
def test_top_heads_are_ordered_by_effect():
    effects = np.array([[0.1, 0.5], [-0.9, 0.3]])
    assert top_heads(effects, 3) == ((0, 1), (1, 1), (0, 0))


@pytest.mark.no_backend
def test_a_function_vector_is_the_sum_of_its_heads():
    contributions = np.arange(12.0).reshape(2, 2, 3)
    vector = function_vector(contributions, [(0, 1), (1, 0)])
    assert vector.tolist() == [9.0, 11.0, 13.0]


def vector(heads, values) -> FunctionVector:
    return FunctionVector("t", heads, np.zeros((2, 2)), np.array(values))


@pytest.mark.no_backend
def test_a_tuned_model_is_compared_by_its_heads_and_the_angle():
    base = {"a": vector(((0, 0), (0, 1)), [1.0, 0.0])}
    tuned = {
        "same": base,
        "half": {"a": vector(((1, 1), (0, 1)), [1.0, 1.0])},
        "zero": {"a": vector(((1, 1), (1, 0)), [0.0, 0.0])},
    }
    rows = compare_with_base(base, tuned)
    assert [r.shared_heads for r in rows] == [1.0, 0.5, 0.0]
    np.testing.assert_allclose([r.cosine for r in rows], [1, 0.5**0.5, 0])
    table = kept_table(rows).splitlines()
    assert table[4] == "| half | a | 50% | 0.707 |"
    assert table[5] == "| half | mean | 50% | 0.707 |"
    with pytest.raises(ValueError, match=r"Expected the tasks \['a'\]"):
        compare_with_base(base, {"other": {}})


def test_misuse_is_named(tmp_path):
    with pytest.raises(ValueError, match="at least two pairs"):
        InContextTask("one", (("a", "b"),))
    with pytest.raises(ValueError, match="at least two pairs"):
        InContextTask("empty", (("a", "b"), ("c", "")))
    with pytest.raises(ValueError, match=r"Expected one of .*name='none'"):
        InContextTask.built_in("none")
    with pytest.raises(ValueError, match="from 2 examples per prompt to 15"):
        task_prompts(TASK, Bytes(), shots=16)
    with pytest.raises(ValueError, match="or `tokenizer`"):
        find_function_vector(tiny_lm(), TASK)
    path = tmp_path / "other.json"
    path.write_text('{"pairs": 3}')
    with pytest.raises(ValueError, match=r"missing fields.*other\.json"):
        InContextTask.load(path)
    path.write_text('{"name": "x", "pairs": ["ab", "cd"]}')
    with pytest.raises(ValueError, match=r"`pairs` to be a list.*'ab'"):
        InContextTask.load(path)
    with pytest.raises(ValueError, match="at least two pairs"):
        InContextTask("text", ("ab", "cd"))
    with pytest.raises(ValueError, match=r"`top` to be an int from 1 to 8\."):
        find_function_vector(tiny_lm(), TASK, Words(), prompts=10**9)
    with pytest.raises(ValueError, match=r"written by `FunctionVector\.save`"):
        FunctionVector.load(path)


def test_a_model_that_diverged_has_no_function_vector():
    lm = tiny_lm()
    kernel = lm.backbone.transformer_layers[1].ffw_linear.kernel
    kernel.assign(kernel * np.nan)
    with pytest.raises(ValueError, match=r"`effects` to be finite.*diverged"):
        find_function_vector(lm, TASK, Words(), 2, 2, top=3, verbose=0)


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"task": 3}, "`task` to be a string"),
        ({"heads": []}, r"heads=\(\)"),
        ({"heads": [[0]]}, "`heads` to have 2 to 2 entries"),
        ({"heads": [[0, 0.5]]}, "`heads` to be an int"),
        ({"heads": [[0, 2]]}, "different heads of `effects`"),
        ({"heads": [[0, 0], [0, 0]]}, "different heads of `effects`"),
        ({"effects": 3}, r"effects of shape \(\)"),
        ({"effects": [[0.0, "x"]]}, "`effects` to be lists of numbers"),
        ({"effects": [[0.0, math.nan]]}, "`effects` to be finite"),
        ({"vector": [[1.0]]}, r"vector of shape \(1, 1\)"),
        ({"vector": [math.inf]}, "`vector` to be finite"),
        ({"other": 1}, "unknown fields.*other"),
    ],
)
def test_a_file_that_is_no_function_vector_is_refused(
    tmp_path, changed, message
):
    path = tmp_path / "vector.json"
    vector(((0, 0),), [1.0]).save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(ValueError, match=rf"{message}(.|\n)*vector\.json"):
        FunctionVector.load(path)


@pytest.mark.no_backend
def test_no_example_answers_the_question_where_an_input_comes_twice():
    twice = InContextTask(
        "twice",
        (("a", "B"), ("a", "C"), ("b", "D"), ("c", "E"), ("d", "F")),
    )
    drawn = task_prompts(twice, Bytes(), prompts=10, shots=3)
    for text in texts(drawn.clean):
        *examples, question = text.split("\n\n")
        assert len(examples) == 3
        asked = question.removesuffix("A:")
        assert not any(example.startswith(asked) for example in examples)
    with pytest.raises(ValueError, match="from 2 examples per prompt to 3"):
        task_prompts(twice, Bytes(), shots=4)

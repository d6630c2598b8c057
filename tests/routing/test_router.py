"""The router on a tiny model with two growths."""

import numpy as np
import pytest
from keras import ops
from tiny_models import tiny_lm

import keras_grow
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import generate
from keras_grow.growth.state import ModelState
from keras_grow.routing.grouped import run_grouped

WORDS = {
    "french": ["bonjour", "le", "monde"],
    "science": ["quick", "brown", "fox", "jumps"],
    "none": ["a", "model", "that", "grows", "knew", "lazy"],
}
SCALES = {"french": 0.5, "science": 1.0}


def texts(name, count, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[name], 4)) for _ in range(count)]


def move(lm, name, seed):
    rng = np.random.default_rng(seed)
    for layer in ModelState.of(lm).slices(name):
        for weight in layer.weights:
            noise = rng.normal(0, 0.5, weight.shape)
            weight.assign(ops.convert_to_numpy(weight) + noise)


def base():
    return tiny_lm("gemma3", tokenizer=True, num_layers=1)


def fitted(lm, **options):
    return keras_grow.GrowthRouter(lm, **options).fit(
        {"french": texts("french", 20), "science": texts("science", 20)},
        general=texts("none", 40),
        scales=SCALES,
    )


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    """Two growths, each made on the bare base, at scales 0 and 1."""
    folder = tmp_path_factory.mktemp("growths")
    for seed, name in enumerate(("french", "science")):
        one = keras_grow.grow_model(base(), name=name)
        move(one, name, seed)
        keras_grow.save_growth(one, folder / name)
    lm = base()
    for name in ("french", "science"):
        keras_grow.load_growth(lm, folder / name)
    lm.compile(sampler="greedy")
    return keras_grow.set_growths(lm, "science")


@pytest.fixture(scope="module")
def router(lm):
    return fitted(lm)


@pytest.fixture
def mixed(router):
    """Prompts of all kinds, mixed, and where they go."""
    names = ["none", "science", "french", "none", "french", "science"]
    prompts = [texts(name, 1, 50 + i)[0] for i, name in enumerate(names)]
    assert router(prompts).names == names
    return prompts, names


def scales(lm):
    return {n: growth.scale for n, growth in keras_grow.growths(lm).items()}


def in_turn(lm, prompts, names, answer):
    """The answer to each prompt, with the dial set by hand."""
    before = scales(lm)
    found = []
    for prompt, name in zip(prompts, names, strict=True):
        wanted = {} if name == "none" else {name: SCALES[name]}
        keras_grow.set_growths(lm, wanted)
        found.append(answer(prompt))
    keras_grow.set_growths(lm, before)
    return found


def test_features_are_the_mean_of_the_prompts_token_embeddings(router, lm):
    table = ops.convert_to_numpy(lm.backbone.token_embedding.embeddings)
    prompts = [*texts("french", 3), "fox"]
    tokenizer = lm.preprocessor.tokenizer
    expected = [
        table[np.array(tokenizer([text])[0])].astype("float64").mean(axis=0)
        for text in prompts
    ]
    rows = router._tokens(prompts)
    np.testing.assert_allclose(router._features(rows), expected, atol=1e-7)


def test_held_out_prompts_reach_their_growth(router):
    for name in WORDS:
        routes = router(texts(name, 30, seed=9))
        assert routes.names.count(name) >= 27
        column = router.classes.index(name)
        assert (routes.probabilities.argmax(axis=1) == column).mean() > 0.85
    assert router.classes == ("french", "science", "none")


def test_prompts_without_a_skill_are_answered_by_the_base(router, lm):
    plain = base()
    plain.compile(sampler="greedy")
    prompts = texts("none", 5, seed=4)
    assert set(router(prompts).names) == {"none"}
    ends = [" fox", " monde"] * 2 + [" lazy"]
    ours = router.loglikelihood(prompts, ends).logprob
    np.testing.assert_array_equal(
        ours, Scorer(plain).loglikelihood(prompts, ends).logprob
    )
    grown = Scorer(lm).loglikelihood(prompts, ends).logprob
    assert not np.array_equal(ours, grown)
    written = plain.generate(prompts, max_length=40)
    assert router.generate(prompts, max_length=40) == written
    assert lm.generate(prompts, max_length=40) != written


def test_mixed_prompts_are_run_by_their_growths_and_stay_in_order(
    router, lm, mixed
):
    prompts, names = mixed
    scorer = Scorer(lm)
    before = scales(lm)
    end = " hello world"
    expected = in_turn(
        lm,
        prompts,
        names,
        lambda text: scorer.loglikelihood([text], [end]).logprob[0],
    )
    routed = router.loglikelihood(prompts, [end] * len(prompts))
    np.testing.assert_allclose(routed.logprob, expected, atol=1e-5)
    assert len(set(np.round(expected, 4))) == len(prompts)
    assert scales(lm) == before
    # Two of them: every generation is compiled.
    two = prompts[1:3]
    written = in_turn(
        lm, two, names[1:3], lambda text: generate(scorer, [text], 4)[0]
    )
    assert generate(router.scorer(), two, 4) == written
    assert scales(lm) == before


def test_generate_answers_as_the_model_does_with_that_growth(router, lm, mixed):
    # One prompt per growth: a batch of one is compiled once for each.
    prompts, names = mixed[0][:3], mixed[1][:3]

    def alone(text):
        return lm.generate([text], max_length=40)[0]

    expected = in_turn(lm, prompts, names, alone)
    assert router.generate(prompts, max_length=40) == expected
    assert router.generate(prompts[2], max_length=40) == expected[2]


def test_an_empty_prompt_goes_to_the_base(router):
    names, chances = router(["", " \n"])
    assert names == ["none", "none"]
    assert chances[:, -1].tolist() == [1.0, 1.0]
    found = router.loglikelihood([""], ["bonjour le monde"])
    plain = Scorer(base()).loglikelihood([""], ["bonjour le monde"])
    np.testing.assert_array_equal(found.logprob, plain.logprob)


def test_none_is_the_base_without_lora():
    texts = ["the lazy dog", "a model that grows"]
    lm = base()
    lm.compile(sampler="greedy")
    expected = lm.generate(texts, max_length=12, stop_token_ids=None)
    keras_grow.grow_model(lm, name="french")
    lm.backbone.enable_lora(2)
    for weight in lm.trainable_weights:
        if "lora" in weight.name:
            weight.assign(ops.ones(weight.shape))
    assert lm.generate(texts, max_length=12, stop_token_ids=None) != expected
    answers = []

    def run(name, indices):
        answers.extend(lm.generate(texts, max_length=12, stop_token_ids=None))

    run_grouped(lm, ["none", "none"], {"french": 1.0}, run)
    assert answers == expected


def test_an_error_leaves_the_dial_as_it_was(router, lm, mixed):
    prompts, _ = mixed
    keras_grow.set_growths(lm, {"french": 0.25, "science": 1.0})
    with pytest.raises(ValueError, match="max_new_tokens"):
        generate(router.scorer(), prompts, 0)
    with pytest.raises(TypeError):
        router.generate(prompts, no_such_argument=1)
    assert scales(lm) == {"french": 0.25, "science": 1.0}
    with keras_grow.growth_disabled(lm):
        with pytest.raises(ValueError, match="switched on"):
            router.generate(prompts)
        assert router(prompts).names[2] == "french"
    keras_grow.set_growths(lm, "science")


def test_a_growth_runs_with_those_that_it_was_trained_on():
    lm = keras_grow.grow_model(base(), name="french")
    move(lm, "french", 0)
    keras_grow.set_growths(lm, {"french": 0.5})
    keras_grow.grow_model(lm, name="science")
    move(lm, "science", 1)
    prompt = texts("science", 1, 50)
    expected = Scorer(lm).loglikelihood(prompt, [" dog"]).logprob
    router = fitted(lm)
    keras_grow.set_growths(lm, {})
    assert router(prompt).names == ["science"]
    found = router.loglikelihood(prompt, [" dog"]).logprob
    np.testing.assert_array_equal(found, expected)


def test_a_saved_router_decides_the_same_and_only_on_its_base(
    router, lm, mixed, tmp_path
):
    path = tmp_path / "router.safetensors"
    router.save(path)
    again = keras_grow.GrowthRouter.load(lm, path)
    names, chances = again(mixed[0])
    assert names == mixed[1]
    np.testing.assert_array_equal(chances, router(mixed[0]).probabilities)
    assert again.scales == SCALES
    assert again.held_out == router.held_out
    other = keras_grow.grow_model(
        tiny_lm("gemma3", tokenizer=True, num_layers=1, seed=1), name="french"
    )
    with pytest.raises(ValueError, match="whose base has other weights"):
        keras_grow.GrowthRouter.load(other, path)
    alone = keras_grow.grow_model(base(), name="french")
    lacking = keras_grow.GrowthRouter.load(alone, path)
    with pytest.raises(ValueError, match=r"Received: \['science'\]"):
        lacking.generate(mixed[0])


def test_hidden_states_of_the_base_can_be_the_features(lm, router, tmp_path):
    deep = fitted(lm, features="hidden", block=0)
    rows = deep._tokens(texts("french", 3))
    keras_grow.set_growths(lm, "french")
    found = deep._features(rows)
    keras_grow.set_growths(lm, "science")
    plain = base()
    start = lm.preprocessor.tokenizer.start_token_id
    for row, features in zip(rows, found, strict=True):
        tokens = np.array([[start, *row]])
        embedding = plain.backbone.token_embedding(tokens)
        mask = np.ones(tokens.shape, dtype=bool)
        block = plain.backbone.transformer_layers[0]
        states = block(embedding * 4.0, padding_mask=mask)
        mean = ops.convert_to_numpy(states)[0, 1:].mean(axis=0)
        np.testing.assert_allclose(features, mean, atol=1e-5)
    assert deep(texts("french", 1, 50)).names == ["french"]
    deep.save(tmp_path / "deep")
    again = keras_grow.GrowthRouter.load(lm, tmp_path / "deep")
    assert (again.features, again.block) == ("hidden", 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompts": {"german": ["a", "b"]}}, "'german'"),
        ({"prompts": {"french": ["bonjour"]}}, "at least two texts"),
        ({"prompts": {}}, "one skill at least"),
        ({"general": "a text"}, "`general` to be a list"),
        ({"hard_negatives": "a text"}, "`hard_negatives` to be a list"),
        ({"general": ["a"]}, "at least two texts"),
        ({"general": ["a", " "]}, "1 empty texts"),
        ({"false_alarm": 0.0}, "between 0 and 1"),
        ({"scales": {"science": 1.0}}, "science"),
    ],
)
def test_bad_arguments_of_fit_are_refused(lm, changed, said):
    arguments = {"prompts": {"french": texts("french", 4)}, **changed}
    arguments.setdefault("general", texts("none", 4))
    with pytest.raises((TypeError, ValueError), match=said):
        keras_grow.GrowthRouter(lm).fit(**arguments)


def test_an_unfitted_router_and_bad_arguments_are_refused(lm):
    with pytest.raises(ValueError, match="Call `fit` first"):
        keras_grow.GrowthRouter(lm)(["bonjour"])
    with pytest.raises(ValueError, match="not grown"):
        keras_grow.GrowthRouter(base())
    with pytest.raises(ValueError, match="Expected `block`"):
        keras_grow.GrowthRouter(lm, features="hidden")
    with pytest.raises(ValueError, match="block=9"):
        keras_grow.GrowthRouter(lm, features="hidden", block=9)

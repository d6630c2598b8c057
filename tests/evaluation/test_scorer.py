"""Log-likelihoods, against the model's own logits row by row."""

import keras
import numpy as np
import pytest
from tiny_models import tiny_lm

import keras_grow
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import loglikelihood
from keras_grow.evaluation.batches import even_size

CONTEXTS = ["hello", "the quick brown fox", "", "a model that grows", "hello"]
CONTINUATIONS = [" world", " jumps over the lazy dog", "bonjour", "", "o"]


def small_lm(family="gemma3", **options):
    return tiny_lm(family, tokenizer=True, num_layers=2, **options)


def logprobs(lm, rows):
    """Log-probability of every next token of rows of tokens, in NumPy."""
    length = 32
    token_ids = np.array([[*row, *[0] * (length - len(row))] for row in rows])
    mask = np.array([np.arange(length) < len(row) for row in rows])
    whole = keras.Model(lm.inputs, lm.outputs)
    logits = whole.predict_on_batch(
        {"token_ids": token_ids, "padding_mask": mask}
    ).astype("float64")
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def encoded(lm, text):
    tokenizer = lm.preprocessor.tokenizer
    return [tokenizer.start_token_id, *map(int, tokenizer([text])[0])]


def reference(lm, table, context, continuation):
    before = encoded(lm, context)
    tokens = encoded(lm, context + continuation)
    places = range(len(before) - 1, len(tokens) - 1)
    values = [table[place, tokens[place + 1]] for place in places]
    greedy = [table[p].argmax() == tokens[p + 1] for p in places]
    return sum(values), len(values), all(greedy)


@pytest.fixture(scope="module")
def lm():
    return small_lm()


@pytest.mark.parametrize("family", ["gemma", "gemma2", "gemma3"])
def test_likelihoods_are_those_of_the_models_logits(family):
    lm = small_lm(family)
    wholes = [a + b for a, b in zip(CONTEXTS, CONTINUATIONS, strict=True)]
    tables = logprobs(lm, [encoded(lm, text) for text in wholes])
    scored = Scorer(lm, batch_size=2).loglikelihood(CONTEXTS, CONTINUATIONS)
    assert scored.logprob.dtype == np.float64
    for row, texts in enumerate(zip(CONTEXTS, CONTINUATIONS, strict=True)):
        value, count, greedy = reference(lm, tables[row], *texts)
        np.testing.assert_allclose(scored.logprob[row], value, atol=2e-5)
        assert scored.n_tokens[row] == count
        assert scored.is_greedy[row] == greedy


def test_what_greedy_decoding_writes_is_greedy(lm):
    tokens = [lm.preprocessor.tokenizer.start_token_id, 40, 41]
    for _ in range(3):
        table = logprobs(lm, [tokens])[0]
        tokens.append(int(table[len(tokens) - 1].argmax()))
    pairs = [(tokens[:3], tokens[3:]), (tokens[:3], [*tokens[3:5], 9])]
    assert Scorer(lm).score_tokens(pairs).is_greedy.tolist() == [True, False]


def test_an_empty_continuation_is_certain(lm):
    logprob, n_tokens, is_greedy = loglikelihood(lm, ["hello"], [""])
    assert (logprob[0], n_tokens[0], is_greedy[0]) == (0.0, 0, True)


def test_choices_of_one_token_read_their_context_once(lm):
    seen = []
    scorer = Scorer(lm, progress=lambda done, total: seen.append((done, total)))
    scorer.score_tokens([([2, 40, 41], [token]) for token in (50, 51, 52)])
    assert seen == [(1, 1)]


def test_logits_are_computed_only_at_scored_positions(lm, monkeypatch):
    embedding = lm.backbone.token_embedding
    call, formed = embedding.call, []

    def recorded(inputs, reverse=False):
        if reverse:
            formed.append(int(np.prod(inputs.shape[:-1])))
        return call(inputs, reverse=reverse)

    monkeypatch.setattr(embedding, "call", recorded)
    context = [2, *range(10, 70)]
    Scorer(lm, batch_size=4).score_tokens([(context, [5, 6, 7])] * 1)
    assert formed == [8]


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch is not compiled"
)
def test_a_shape_is_traced_once_and_new_weights_are_seen(monkeypatch):
    lm = small_lm()
    call, traces = lm.backbone.call, []

    def recorded(*args, **kwargs):
        traces.append(1)
        return call(*args, **kwargs)

    monkeypatch.setattr(lm.backbone, "call", recorded)
    scorer = Scorer(lm)
    before = scorer.loglikelihood(["hello"], [" world"]).logprob
    scale = lm.backbone.layer_norm.scale
    scale.assign(scale + 1.0)
    after = scorer.loglikelihood(["a model"], [" grows"]).logprob
    again = scorer.loglikelihood(["hello"], [" world"]).logprob
    assert len(traces) == 1
    assert abs(again - before) > 1e-3
    assert np.isfinite(after).all()


@pytest.mark.exact
def test_growth_switched_on_and_off_is_never_scored_by_a_stale_trace():
    lm = small_lm()
    scorer = Scorer(lm)
    texts = (["the quick"], [" brown fox"])
    base = scorer.loglikelihood(*texts).logprob
    keras_grow.grow_model(lm, layers=1)
    np.testing.assert_array_equal(scorer.loglikelihood(*texts).logprob, base)
    for variable in lm.trainable_variables:
        variable.assign(variable * 1.5)
    grown = scorer.loglikelihood(*texts).logprob
    assert abs(grown - base) > 1e-3
    with keras_grow.growth_disabled(lm):
        off = scorer.loglikelihood(*texts).logprob
    np.testing.assert_array_equal(off, base)
    np.testing.assert_array_equal(scorer.loglikelihood(*texts).logprob, grown)


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch is not compiled"
)
def test_a_key_from_the_caller_tells_states_apart(monkeypatch):
    lm = small_lm()
    embedding, factor = lm.backbone.token_embedding, [1.0]
    call = embedding.call

    def scaled(inputs, reverse=False):
        return call(inputs, reverse=reverse) * (factor[0] if reverse else 1)

    monkeypatch.setattr(embedding, "call", scaled)
    scorer = Scorer(lm, key=lambda: factor[0])
    first = scorer.loglikelihood(["hello"], [" world"]).logprob
    factor[0] = 2.0
    assert scorer.loglikelihood(["hello"], [" world"]).logprob != first


def test_a_long_context_is_cut_on_the_left_with_a_warning(lm):
    scorer = Scorer(lm, max_length=8)
    context = [2, *range(10, 40)]
    with pytest.warns(UserWarning, match="1 of 1 contexts were cut"):
        cut = scorer.score_tokens([(context, [50, 51])])
    # The start token stays: it counts for most.
    whole = scorer.score_tokens([([2, *context[-6:]], [50, 51])])
    np.testing.assert_allclose(cut.logprob, whole.logprob, atol=1e-5)


def test_a_bfloat16_model_is_scored():
    lm = tiny_lm(tokenizer=True, num_layers=1, dtype="bfloat16")
    assert np.isfinite(loglikelihood(lm, ["hello"], [" world"]).logprob).all()


def test_misuse_is_refused(lm):
    with pytest.raises(TypeError, match="a KerasHub CausalLM"):
        Scorer(keras.Sequential([keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match="Pass `tokenizer`"):
        Scorer(tiny_lm())
    with pytest.raises(ValueError, match="batch_size=0"):
        Scorer(lm, batch_size=0)
    with pytest.raises(ValueError, match="2 contexts, 1 continuations"):
        loglikelihood(lm, ["a", "b"], ["c"])
    scorer = Scorer(lm, max_length=4)
    with pytest.raises(ValueError, match="5 tokens in pairs"):
        scorer.score_tokens([([2], [5, 6, 7, 8, 9])])
    with pytest.raises(ValueError, match="a context of at least one token"):
        scorer.score_tokens([([], [5])])


@pytest.mark.no_backend
@pytest.mark.parametrize("rows", range(1, 70))
def test_batches_are_of_one_size_with_little_padding(rows):
    size = even_size(rows, most=16)
    batches = -(-rows // size)
    assert batches == -(-rows // 16)
    # A batch is a quarter too large at most: fewer would not hold the rows.
    assert batches * (size - 4) < rows <= batches * size
    assert size in (4, 8, 12, 16)


@pytest.mark.parametrize("count", [1, 5, 9])
def test_the_number_of_rows_changes_no_score(lm, count):
    rng = np.random.default_rng(0)
    pairs = [
        ([2, *rng.integers(5, 30, length)], [5, 6])
        for length in rng.integers(1, 25, count)
    ]
    together = Scorer(lm, batch_size=4).score_tokens(pairs).logprob
    table = logprobs(lm, [[*a, *b] for a, b in pairs])
    for row, (context, targets) in enumerate(pairs):
        places = len(context) - 1 + np.arange(2)
        expected = table[row, places, targets].sum()
        assert together[row] == pytest.approx(expected, abs=2e-5)

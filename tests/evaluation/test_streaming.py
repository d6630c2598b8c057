"""Answers streamed token by token, against KerasHub's own `generate`."""

import threading

import keras
import numpy as np
import pytest
from family_models import CONFIGS
from family_models import few_programs
from family_models import speaking_family
from family_models import tiny_family
from keras import ops
from tiny_models import compiled_outputs
from tiny_models import tiny_lm

from keras_grow import grow_model
from keras_grow import growth_disabled
from keras_grow import growths
from keras_grow import set_growths
from keras_grow.evaluation import Scorer
from keras_grow.evaluation import generate
from keras_grow.evaluation import stream
from keras_grow.evaluation.compiled import compile_over
from keras_grow.evaluation.passes import Passes
from keras_grow.evaluation.sampling import Sampling
from keras_grow.evaluation.streaming import Streamer
from keras_grow.growth.state import grown_state
from keras_grow.keras_internals import cache_of

SCALES = {True: None, False: {}}
PROMPTS = [
    "",
    "hello",
    "a model that grows does not forget what it knew",
    "the quick brown fox jumps over the lazy dog",
]


@pytest.fixture(scope="module")
def lm():
    """A grown model whose slices were changed, so that growth shows."""
    lm = grow_model(tiny_lm(tokenizer=True, num_layers=2))
    rng = np.random.default_rng(1)
    for weight in lm.trainable_weights:
        weight.assign(weight + rng.normal(0.0, 0.3, weight.shape))
    return lm


@pytest.fixture(scope="module")
def streamer(lm):
    return Streamer(lm, max_length=60, piece=8)


@pytest.mark.parametrize("growth", [True, False])
def test_a_greedy_stream_equals_generate(lm, streamer, growth):
    streams = [streamer.stream(p, 6, scales=SCALES[growth]) for p in PROMPTS]
    # In turn, a token each: streams do not disturb one another.
    while any([next(stream, None) is not None for stream in streams]):
        pass
    if growth:
        expected = generate(lm, PROMPTS, 6, stop=())
    else:
        with growth_disabled(lm):
            expected = generate(lm, PROMPTS, 6, stop=())
    assert [stream.text for stream in streams] == expected
    assert len({stream.finished for stream in streams} - {"end"}) <= 1
    if growth:
        with growth_disabled(lm):
            assert generate(lm, PROMPTS, 6, stop=()) != expected


def test_gemma_and_gemma2_stream_as_they_generate():
    for family in ("gemma", "gemma2"):
        lm = grow_model(tiny_lm(family, tokenizer=True, num_layers=2))
        stream = Streamer(lm, max_length=64, piece=8).stream(PROMPTS[3], 5)
        assert "".join(stream) == generate(lm, PROMPTS[3:], 5, stop=())[0]


def test_each_stream_has_its_own_dial(lm, streamer):
    expected = {}
    for scale in (0.0, 0.5, 1.0):
        set_growths(lm, {"growth_1": scale})
        expected[scale] = generate(lm, PROMPTS[3:], 6, stop=())[0]
    assert len(set(expected.values())) == 3
    streams = {
        scale: streamer.stream(PROMPTS[3], 6, scales={"growth_1": scale})
        for scale in expected
    }
    # In turn, a token each, and between them one that takes what is set.
    streams[None] = streamer.stream(PROMPTS[3], 6)
    while any([next(each, None) is not None for each in streams.values()]):
        pass
    found = {scale: each.text for scale, each in streams.items()}
    assert found == {**expected, None: expected[1.0]}
    pairs = [(streamer.encode(PROMPTS[3]), streams[0.5].token_ids)]
    set_growths(lm, {"growth_1": 0.5})
    likelihood = Scorer(lm).score_tokens(pairs).logprob[0]
    set_growths(lm, {"growth_1": 1.0})
    assert streamer.logprobs(
        PROMPTS[3], pairs[0][1], {"growth_1": 0.5}
    ).sum() == pytest.approx(likelihood, rel=1e-4)
    assert growths(lm)["growth_1"].scale == 1.0


def test_with_lora_the_base_answers_alone_and_without_the_adapter():
    lm = tiny_lm(tokenizer=True, num_layers=1)
    streamer = Streamer(lm, max_length=24, piece=8)
    answer = [10, 11, 12]
    expected = streamer.logprobs("hello", answer)
    grow_model(lm)
    lm.backbone.enable_lora(2)
    for weight in lm.trainable_weights:
        if "lora" in weight.name:
            weight.assign(ops.ones(weight.shape))
    found = streamer.logprobs("hello", answer, {})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    grown = streamer.logprobs("hello", answer, {"growth_1": 1.0})
    assert np.abs(grown - expected).max() > 1e-3
    assert streamer.one_at_a_time
    with pytest.raises(ValueError, match="LoRA beside its growths"):
        streamer.together("hello", 3, [{}, {"growth_1": 1.0}])


@pytest.mark.parametrize("strategy", ["g_freeze", "g_train"])
def test_answers_streamed_together_equal_those_streamed_alone(strategy):
    lm = grow_model(
        tiny_lm(tokenizer=True, num_layers=2), strategy=strategy, name="one"
    )
    set_growths(lm, {})
    grow_model(lm, layers=[1], name="two")
    rng = np.random.default_rng(1)
    for growth in ("one", "two"):
        for slice_ in grown_state(lm).slices(growth):
            for weight in slice_.weights:
                weight.assign(weight + rng.normal(0.0, 0.3, weight.shape))
    states = [{}, {"one": 1.0}, {"one": 0.5, "two": 1.0}]
    streamer = Streamer(lm, max_length=60, piece=8)
    whole = streamer.together(PROMPTS[3], 6, states)
    while not whole.finished:
        whole.advance()
    for state, written in zip(states, whole.answers, strict=True):
        set_growths(lm, state)
        assert [written.text] == generate(lm, PROMPTS[3:], 6, stop=())
        pairs = [(streamer.encode(PROMPTS[3]), written.token_ids)]
        assert sum(written.logprobs) == pytest.approx(
            Scorer(lm).score_tokens(pairs).logprob[0], rel=1e-4
        )
    assert len({sum(written.logprobs) for written in whole.answers}) == 3
    with pytest.raises(ValueError, match="three"):
        streamer.together("hello", 4, [{"three": 1.0}])


def test_an_answer_that_was_cut_continues_as_if_it_had_not_been(streamer):
    sampling = Sampling(temperature=2.0, seed=3)
    whole = streamer.stream("hello", 8, sampling)
    list(whole)
    (first,) = (cut := streamer.together("hello", 3, [None], sampling)).answers
    while not cut.finished:
        cut.advance()
    rest = streamer.together(
        "hello", 5, [None], sampling, begun=first.token_ids
    )
    assert rest.answers[0].text == first.text
    while not rest.finished:
        rest.advance()
    assert rest.answers[0].token_ids == whole.token_ids
    assert rest.answers[0].text == whole.text


def test_streaming_stays_within_the_models_positions():
    lm = speaking_family("GPT-2")
    assert lm.backbone.max_sequence_length == 16
    streamer = Streamer(lm)
    assert streamer.max_length == 16
    assert Streamer(lm, piece=5).max_length == 15
    stream = streamer.stream("the lazy dog " * 20, 4)
    assert stream.cut == len(streamer.encode("the lazy dog " * 20)) - 12
    with pytest.raises(ValueError, match="from 1 to 15"):
        streamer.stream("hello", 16)


def test_scoring_and_generation_stay_within_the_models_positions():
    # 9 positions: neither a multiple of 8 nor of what lengths are rounded to.
    lm = speaking_family("GPT-2", max_sequence_length=9)
    scorer = Scorer(lm, batch_size=1)
    assert scorer.max_length == scorer.decoder.max_length == 9
    prompt, answer = ("the lazy dog " * 20).strip(), " the"
    ids = scorer.tokenizer.tokenize(prompt + answer)
    ids = [int(token) for token in ops.convert_to_numpy(ids)]
    known = len(ids) - len(scorer.tokenizer.tokenize(prompt))
    with pytest.warns(UserWarning, match="max_length=9"):
        scored = scorer.loglikelihood([prompt], [answer]).logprob
    # The last token is predicted and never read.
    log_probs = _log_probs(lm, ids[-10:-1])
    expected = sum(log_probs[at, ids[at]] for at in range(-known, 0))
    np.testing.assert_allclose(scored, [expected], rtol=1e-4)
    with pytest.warns(UserWarning, match="to 6 tokens"):
        (text,) = scorer.decoder.generate([prompt], 3, stop=())
    read = ids[:-known][-6:]
    for _ in range(3):
        read.append(int(_log_probs(lm, read)[-1].argmax()))
    assert text == scorer.tokenizer.detokenize(read[-3:])


def _log_probs(lm, ids):
    x = {"token_ids": np.array([ids]), "padding_mask": np.ones((1, len(ids)))}
    logits = compiled_outputs(lm, x)[0].astype("float64")
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


# Every input of PaliGemma has an image; see the last test.
FAMILIES = sorted(CONFIGS.keys() - {"PaliGemma"})


@pytest.mark.parametrize("name", ["GPT-2", "Gemma 4", "Qwen 3.5"])
def test_an_empty_cache_has_the_shapes_of_one_that_the_task_builds(name):
    with few_programs():
        lm = speaking_family(name)
        build = compile_over(lambda tokens: cache_of(lm, tokens), lm)
        wanted = build(ops.zeros((2, 6), "int32"))
    found = Passes(lm, max_length=6, piece=2).empty_cache(2)

    def described(cache):
        return keras.tree.map_structure(
            lambda t: (*t.shape, keras.backend.standardize_dtype(t.dtype)),
            cache,
        )

    assert described(found) == described(wanted)


# TensorFlow traces anew for another number of answers, with rows unknown.
@pytest.mark.parametrize("name", ["GPT-2", "Gemma 3n", "Llama 3"])
def test_one_answer_can_follow_several_streamed_together(name):
    lm = speaking_family(name)
    grow_model(lm)
    streamer = Streamer(lm, max_length=16, piece=4)
    both = streamer.together(PROMPTS[1], 2, [{"growth_1": 0.5}, {}])
    while not both.finished:
        both.advance()
    for scale, expected in zip((0.5, 0.0), both.answers, strict=True):
        alone = streamer.stream(PROMPTS[1], 2, scales={"growth_1": scale})
        assert "".join(alone) == expected.text
        assert alone.token_ids == expected.token_ids


@pytest.mark.once
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_streams_and_scores_the_likeliest_tokens(name):
    with few_programs():
        _streams_and_scores(name, speaking_family(name))


def _streams_and_scores(name, lm):
    grow_model(lm)
    for weight in lm.trainable_weights:
        weight.assign(weight * 4.0)
    streamer = Streamer(lm, max_length=16, piece=4)
    prompt, length = PROMPTS[1], 3
    batches = [[None, {}]]
    if name.startswith("Gemma 4"):
        with pytest.raises(ValueError, match="one answer at a time"):
            streamer.together(prompt, length, *batches)
        batches = [[None], [{}]]
    answers = []
    for states in batches:
        whole = streamer.together(prompt, length, states)
        while not whole.finished:
            whole.advance()
        answers += whole.answers
    grown, base = answers
    assert len(grown.token_ids) == len(base.token_ids) == length
    total = likeliest(lm, streamer.encode(prompt), grown.token_ids)
    found = streamer.logprobs(prompt, grown.token_ids).sum()
    assert found == pytest.approx(total, rel=1e-4)
    pair = (streamer.encode(prompt), list(grown.token_ids))
    scored = Scorer(lm, max_length=16).score_tokens([pair])
    assert scored.logprob[0] == pytest.approx(total, rel=1e-4)
    assert scored.is_greedy[0]
    if name == "GPT-NeoX":
        return  # KerasHub rotates every step as if it were the first.
    assert sum(grown.logprobs) == pytest.approx(total, rel=1e-4)
    with growth_disabled(lm):
        total = likeliest(lm, streamer.encode(prompt), base.token_ids)
    assert sum(base.logprobs) == pytest.approx(total, rel=1e-4)
    assert base.logprobs != pytest.approx(grown.logprobs, rel=2e-4)


def likeliest(lm, tokens, answer):
    """Check an answer token by token, and return its log-likelihood."""
    total = 0.0
    for found in answer:
        padded = np.zeros((1, 16), "int32")
        padded[0, : len(tokens)] = tokens
        x = {"token_ids": padded, "padding_mask": padded > 0}
        if "position_ids" in lm.input:
            x["position_ids"] = np.arange(16, dtype="int32")[None]
        logits = compiled_outputs(lm, x)[0, len(tokens) - 1]
        assert found == logits.argmax()
        total += logits[found] - np.log(np.exp(logits.astype("float64")).sum())
        tokens = [*tokens, found]
    return total


def test_pieces_of_text_make_up_the_text(streamer):
    stream = streamer.stream("hello", 6)
    pieces = list(stream)
    assert "".join(pieces) == stream.text
    assert stream.finished == "length"
    assert len(pieces) == len(stream.token_ids) == 6


def test_an_answer_ends_before_a_stop_text_and_keeps_its_tokens(streamer):
    whole = streamer.stream("hello", 6)
    text = "".join(whole)
    stop = text[3:5]
    cut = streamer.stream("hello", 6, stop=[stop])
    assert "".join(cut) == text[: text.index(stop)]
    assert cut.finished == "stop"
    kept = len(cut.token_ids)
    assert cut.token_ids == whole.token_ids[:kept]
    assert kept < len(whole.token_ids)


def test_leading_white_space_does_not_end_an_answer(streamer, monkeypatch):
    whole = streamer.stream("hello", 6)
    text = "".join(whole)
    monkeypatch.setattr(
        stream, "detokenize", lambda _, rows: [f"\n {text[: len(rows[0])]}\nx"]
    )
    cut = streamer.stream("hello", 6, stop=["\n"])
    # After one token something else stands before the second line break.
    assert list(cut) == [f"\n {text[0]}"]
    assert cut.finished == "stop"


def test_an_end_token_ends_an_answer(streamer, monkeypatch):
    whole = streamer.stream("hello", 6)
    list(whole)
    monkeypatch.setattr(streamer, "ends", {whole.token_ids[2]})
    cut = streamer.stream("hello", 6)
    list(cut)
    first = whole.token_ids.index(whole.token_ids[2])
    assert cut.token_ids == whole.token_ids[:first]
    assert cut.finished == "end"


@pytest.mark.parametrize("growth", [True, False])
def test_likelihoods_equal_those_of_the_scorer(lm, streamer, growth):
    for prompt in PROMPTS:
        stream = streamer.stream(prompt, 11)
        list(stream)
        context = streamer.encode(prompt)
        pairs = [(context, stream.token_ids)]
        if growth:
            expected = Scorer(lm).score_tokens(pairs).logprob[0]
        else:
            with growth_disabled(lm):
                expected = Scorer(lm).score_tokens(pairs).logprob[0]
        found = streamer.logprobs(prompt, stream.token_ids, SCALES[growth])
        assert len(found) == len(stream.token_ids)
        assert found.sum() == pytest.approx(expected, rel=1e-4)
        if growth:  # What was noted while it was written is the same.
            assert stream.answer.logprobs == pytest.approx(found, rel=1e-3)
    assert len(streamer.logprobs("hello", [])) == 0


def test_a_long_prompt_is_cut_on_the_left_and_the_stream_says_by_how_much(lm):
    streamer = Streamer(lm, max_length=16, piece=8)
    stream = streamer.stream(PROMPTS[3], 4)
    assert stream.cut == len(streamer.encode(PROMPTS[3])) - 12 > 0
    assert len(list(stream)) == 4
    start = streamer.tokenizer.start_token_id
    assert stream._whole._reading._tokens[0] == start
    # As `generate` cuts it.
    scorer = Scorer(lm, max_length=16)
    with pytest.warns(UserWarning, match="cut on their left"):
        (written,) = generate(scorer, [PROMPTS[3]], 4, stop=())
    assert stream.text == written


def test_an_answer_depends_on_the_seed_alone(streamer):
    def write(seed):
        sampling = Sampling(temperature=2.0, top_k=20, seed=seed)
        return "".join(streamer.stream("hello", 12, sampling))

    assert write(1) == write(1)
    assert len({write(seed) for seed in range(4)}) > 1


def test_threads_that_stream_at_once_get_what_each_gets_alone(streamer):
    alone = {
        growth: "".join(streamer.stream("hello", 6, scales=SCALES[growth]))
        for growth in (True, False)
    }
    found: list[tuple[bool, str]] = []

    def write(growth):
        text = "".join(streamer.stream("hello", 6, scales=SCALES[growth]))
        found.append((growth, text))

    threads = [
        threading.Thread(target=write, args=[growth])
        for growth in (True, False, True, False)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(text == alone[growth] for growth, text in found)


@pytest.mark.no_backend
def test_sampling_draws_from_the_softmax_of_the_top_k():
    logits = np.log(np.array([0.1, 0.4, 0.2, 0.3], "float32"))
    rng = np.random.default_rng(0)
    assert Sampling().choose(logits, rng) == 1
    draws = [Sampling(1.0).choose(logits, rng) for _ in range(4000)]
    shares = np.bincount(draws, minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.4, 0.2, 0.3], atol=0.03)
    draws = [Sampling(0.5, top_k=2).choose(logits, rng) for _ in range(4000)]
    shares = np.bincount(draws, minlength=4) / 4000
    # Squares of 0.4 and 0.3, made to sum to one.
    np.testing.assert_allclose(shares, [0, 0.64, 0, 0.36], atol=0.03)


@pytest.mark.no_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1.0}, "temperature=-1.0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_k": 0}, "top_k=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_impossible_sampling_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**arguments)


def test_models_that_cannot_stream_are_refused(lm, streamer):
    with pytest.raises(TypeError, match="continues from a cache"):
        Streamer(lm.backbone)
    sees = tiny_family("PaliGemma")
    with pytest.raises(ValueError, match=r"\['images', 'response_mask'\]"):
        Streamer(sees)
    sees.preprocessor = lm.preprocessor
    with pytest.raises(ValueError, match=r"\['images', 'response_mask'\]"):
        Scorer(sees)
    with pytest.raises(ValueError, match="preprocessor=None"):
        Streamer(tiny_lm(num_layers=1))
    with pytest.raises(ValueError, match="piece=0"):
        Streamer(lm, piece=0)
    with pytest.raises(ValueError, match="max_new_tokens=64"):
        streamer.stream("hello", 64)


def test_streamers_of_one_model_answer_in_separate_threads(lm):
    wanted = [
        (Streamer(lm, max_length=60, piece=8), scales)
        for scales in SCALES.values()
    ]
    expected = [_written(Streamer(lm, 60, 8), own) for _, own in wanted]
    assert expected[0] != expected[1]
    found = [[], []]

    def write(which):
        maker, scales = wanted[which]
        found[which] = [_written(maker, scales) for _ in range(4)]

    # What they compute is compiled in these threads, too.
    threads = [threading.Thread(target=write, args=[n]) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[text] * 4 for text in expected]


def _written(maker, scales):
    whole = maker.stream(PROMPTS[2], 8, scales=scales)
    return [*whole] and whole.token_ids

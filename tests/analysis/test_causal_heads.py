"""One head at a time is patched, exactly, and the model is left alone."""

import keras
import numpy as np
import pytest
from family_models import CONFIGS
from family_models import tiny_family
from keras import ops
from patching import Patched
from patching import inputs
from patching import output_of
from patching import probabilities
from patching import projected_by
from tiny_models import tiny_lm

from keras_grow import grow_model
from keras_grow.analysis import zero_shot
from keras_grow.analysis.blocks import Blocks
from keras_grow.analysis.causal_heads import causal_indirect_effects
from keras_grow.analysis.causal_heads import mean_head_activations
from keras_grow.analysis.function_vectors import top_heads
from keras_grow.analysis.prompts import PromptBatch

OTHERS_THAN_GEMMA = ["Llama", "Llama 3", "Mistral", "Qwen 2.5", "Qwen 3"]
FAMILIES = ["gemma", "gemma2", "gemma3", *OTHERS_THAN_GEMMA]
HEADS = 4


# One shape of prompts and models throughout: JAX compiles every operation anew
# for a new shape.
def prompts() -> PromptBatch:
    """Two prompts of different lengths, one longer than the window of 8."""
    rng = np.random.default_rng(0)
    token_ids = rng.integers(4, 80, (2, 12)).astype("int32")
    token_ids[1, 7:] = 0
    return PromptBatch(token_ids, np.array([12, 7]), rng.integers(4, 80, 2))


def one_prompt_twice() -> PromptBatch:
    batch = prompts()
    return PromptBatch(
        np.repeat(batch.token_ids[:1], 2, axis=0),
        np.repeat(batch.lengths[:1], 2),
        np.repeat(batch.targets[:1], 2),
    )


def two_blocks(family: str = "gemma3", **options):
    if family in CONFIGS:
        return tiny_family(family, vocabulary_size=80)
    return tiny_lm(family, num_layers=2, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_run_by_hand_equal_the_backbone_bit_for_bit(family):
    lm, batch = two_blocks(family), prompts()
    mask = ops.convert_to_tensor(batch.padding_mask, "int32")
    blocks = Blocks(lm)
    x = blocks.embed(batch.token_ids)
    for index in range(len(blocks)):
        x = blocks.run(index, x, lambda heads: heads, padding_mask=mask)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(lm.backbone.layer_norm(x)),
        ops.convert_to_numpy(lm.backbone(inputs(batch))),
    )


# Batches of heads that are a layer each, and one that begins within a layer.
@pytest.mark.parametrize(
    ("family", "heads_per_batch"),
    [
        ("gemma", 4),
        ("gemma2", 4),
        ("gemma3", 5),
        *((family, 5) for family in OTHERS_THAN_GEMMA),
    ],
)
def test_every_effect_is_that_of_patching_the_whole_forward_pass(
    family, heads_per_batch
):
    lm, batch = two_blocks(family), prompts()
    rng = np.random.default_rng(1)
    means = rng.normal(size=Blocks(lm).shape).astype("float32")
    counts = []
    effects = causal_indirect_effects(
        lm,
        batch,
        means,
        heads_per_batch=heads_per_batch,
        progress=lambda *count: counts.append(count),
    )
    n = heads_per_batch
    assert counts == [(n, 16), (8, 16), (8 + n, 16), (16, 16)]
    assert effects.shape == (2, 2, HEADS)
    before = probabilities(lm, batch)
    for layer, block in enumerate(lm.backbone.transformer_layers):
        holder, name = output_of(lm, block)
        dense = getattr(holder, name)
        for head in range(HEADS):
            patched = Patched(
                dense, head, batch.lengths - 1, means[layer, head]
            )
            with projected_by(holder, name, patched):
                after = probabilities(lm, batch)
            np.testing.assert_allclose(
                effects[:, layer, head], after - before, atol=1e-6
            )
    assert np.abs(effects).max() > 1e-3


def test_patching_in_a_prompts_own_activations_changes_nothing():
    lm, batch = two_blocks(), one_prompt_twice()
    means = mean_head_activations(lm, batch)
    effects = causal_indirect_effects(lm, batch, means.activations, 4)
    np.testing.assert_allclose(effects, 0.0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_sum_to_what_attention_adds_to_the_stream(family):
    lm, batch = two_blocks(family), one_prompt_twice()
    means = mean_head_activations(lm, batch)
    x = Blocks(lm).embed(batch.token_ids)
    # The norm that follows the attention's residual.
    name = "pre_ffw_norm" if "gemma" in family else "_feedforward_layernorm"
    for layer, block in enumerate(lm.backbone.transformer_layers):
        seen = []
        norm = getattr(block, name)
        watch = keras.layers.Lambda(
            lambda h, n=norm, s=seen: s.append(h) or n(h)
        )
        object.__setattr__(block, name, watch)
        after = block(x)
        object.__setattr__(block, name, norm)
        added = ops.convert_to_numpy(seen[-1] - x)[0, -1]
        np.testing.assert_allclose(
            means.contributions[layer].sum(axis=0), added, atol=1e-5
        )
        x = after


def test_means_do_not_depend_on_the_batch_size():
    lm, batch = two_blocks(), prompts()
    one = mean_head_activations(lm, batch, batch_size=1)
    all_at_once = mean_head_activations(lm, batch)
    np.testing.assert_allclose(
        one.activations, all_at_once.activations, atol=1e-5
    )


def test_the_model_is_bit_identical_after_use_and_after_an_exception():
    lm, batch = two_blocks(), prompts()
    before = ops.convert_to_numpy(lm(inputs(batch)))
    layers = [block.attention.output_dense for block in _stack(lm)]
    means = mean_head_activations(lm, batch)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        causal_indirect_effects(
            lm, batch, means.activations, 4, progress=interrupt
        )
    causal_indirect_effects(lm, batch, means.activations, 4)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(lm(inputs(batch))), before
    )
    assert [b.attention.output_dense for b in _stack(lm)] == layers


def test_a_grown_model_has_the_effects_of_its_base():
    lm, batch = two_blocks(), prompts()
    twice = 2 * mean_head_activations(lm, batch).activations
    effects = causal_indirect_effects(lm, batch, twice, 4)
    np.testing.assert_allclose(
        causal_indirect_effects(grow_model(lm), batch, twice, 4),
        effects,
        atol=1e-6,
    )


def test_a_bfloat16_model_gives_finite_effects_near_those_of_float32():
    batch = prompts()
    lms = [two_blocks(dtype=d) for d in ("float32", "bfloat16")]
    means = mean_head_activations(lms[0], batch).activations
    effects = [causal_indirect_effects(lm, batch, 3 * means, 4) for lm in lms]
    np.testing.assert_allclose(*effects, atol=0.02)


# A Gemma made by hand. Hidden size 16; tokens 0..15 are the unit vectors e_t,
# the other 64 are zero. Every MLP is zero. All queries are zero, so each head
# averages over the positions. Only head 2 of layer 1 has a value circuit: it
# reads e_5 and writes `GAIN` times what it read to e_6. The others write
# nothing.
HIDDEN, OTHERS, GAIN, TASK, ANSWER, CARRIER = 16, 64, 3.0, 5, 6, (1, 2)


def lm_with_one_causal_head():
    lm = two_blocks("gemma")
    for weight in lm.weights:
        weight.assign(np.zeros(weight.shape))
    lm.backbone.token_embedding.embeddings.assign(
        np.eye(HIDDEN + OTHERS, HIDDEN)
    )
    attention = lm.backbone.transformer_layers[CARRIER[0]].attention
    value = np.zeros(attention.value_dense.kernel.shape)
    value[0, TASK, 0] = 1.0
    attention.value_dense.kernel.assign(value)
    output = np.zeros(attention.output_dense.kernel.shape)
    output[CARRIER[1], 0, ANSWER] = GAIN
    attention.output_dense.kernel.assign(output)
    return lm


def twice(*tokens: int) -> PromptBatch:
    return PromptBatch(
        np.array([tokens, tokens], "int32"),
        np.array([len(tokens)] * 2),
        np.array([ANSWER] * 2),
    )


def test_the_head_that_carries_a_task_is_found_with_its_effect_on_paper():
    lm = lm_with_one_causal_head()
    # Six of twelve clean tokens are the task's, none of the corrupted ones.
    clean = twice(*[TASK, 2] * 5, TASK, 1)
    corrupted = twice(*[3, 2] * 5, 3, 1)
    means = mean_head_activations(lm, clean)
    # The norm makes each embedding e_t sqrt(16), of mean square 1, so the head
    # puts out 6/12 sqrt(16) and adds GAIN times that to e_6.
    added = GAIN * 0.5 * np.sqrt(HIDDEN)
    wanted = np.zeros((2, HEADS, HIDDEN))
    wanted[CARRIER][ANSWER] = added
    np.testing.assert_allclose(means.contributions, wanted, atol=1e-5)

    # Last token 1: stream e_1 sqrt(16), patched + added e_6. The final norm
    # divides by the root mean square; the logits are the stream itself, and 0
    # for the tokens without embedding.
    def answer(stream):
        logits = stream / np.sqrt(np.mean(stream**2))
        return np.exp(logits[ANSWER]) / (np.exp(logits).sum() + OTHERS)

    stream = np.sqrt(HIDDEN) * np.eye(HIDDEN)[1]
    effect = answer(stream + added * np.eye(HIDDEN)[ANSWER]) - answer(stream)
    effects = causal_indirect_effects(lm, corrupted, means.activations, 4)[0]
    assert effect > 0.1
    assert top_heads(effects, 1) == (CARRIER,)
    assert effects[CARRIER] == pytest.approx(effect, abs=1e-5)
    effects[CARRIER] = 0.0
    np.testing.assert_allclose(effects, 0.0, atol=1e-6)

    # Its function vector makes the task work with no example.
    vector = 2.0 * means.contributions[CARRIER]
    question = twice(*[2] * 11, 1)
    assert zero_shot(lm, question).accuracy == 0.0
    for layer in range(2):
        assert zero_shot(lm, question, vector, layer).accuracy == 1.0


def test_accuracy_without_a_vector_is_the_models_own():
    lm, batch = two_blocks(), prompts()
    logits = ops.convert_to_numpy(lm(inputs(batch)))
    best = logits[np.arange(2), batch.lengths - 1].argmax(axis=1)
    targets = np.array([best[0], best[1] - 1])
    batch = PromptBatch(batch.token_ids, batch.lengths, targets)
    found = zero_shot(lm, batch, batch_size=1)
    assert found.accuracy == 0.5
    last = logits[np.arange(2), batch.lengths - 1].astype("float64")
    chosen = last[np.arange(2), targets] - np.log(np.exp(last).sum(axis=1))
    assert found.log_probability == pytest.approx(chosen.mean(), abs=1e-5)


def test_misuse_is_named():
    lm, batch = tiny_lm(), prompts()
    with pytest.raises(ValueError, match=r"shape \(2, 4, 8\)\. Received"):
        causal_indirect_effects(lm, batch, np.zeros((2, 2, 8)))
    with pytest.raises(TypeError, match="Expected a KerasHub model"):
        mean_head_activations(keras.Sequential(), batch)
    with pytest.raises(ValueError, match="Received: GPT2Backbone"):
        mean_head_activations(tiny_family("GPT-2"), batch)
    with pytest.raises(ValueError, match="together, or neither"):
        zero_shot(lm, batch, layer=1)
    for vector, layer in ((np.zeros(3), 1), (np.zeros(16), 2)):
        with pytest.raises(ValueError, match=r"`layer` from 0 to 1\. Received"):
            zero_shot(lm, batch, vector, layer)
    with pytest.raises(ValueError, match=r"`k` to be an int from 1 to 4"):
        top_heads(np.zeros((2, 2)), 5)
    with pytest.raises(ValueError, match="a length from 1 to"):
        PromptBatch(np.zeros((1, 3)), np.array([4]), np.array([0]))


def _stack(lm):
    return lm.backbone.transformer_layers

"""One head at a time is patched, exactly, and the model is left alone."""

import keras
import numpy as np
import pytest
from conftest import tiny_lm
from keras import ops

from keras_grow import grow_model
from keras_grow.analysis import PromptBatch
from keras_grow.analysis import blocks
from keras_grow.analysis import causal_indirect_effects
from keras_grow.analysis import mean_head_activations
from keras_grow.analysis import top_heads
from keras_grow.analysis import zero_shot_accuracy

FAMILIES = ["gemma", "gemma2", "gemma3"]
HEADS = 4


def prompts(count: int = 2, length: int = 12, seed: int = 0) -> PromptBatch:
    """Random prompts of different lengths, longer than the window of 8."""
    rng = np.random.default_rng(seed)
    lengths = np.array([length - 2 * i for i in range(count)])
    token_ids = rng.integers(4, 80, (count, length)).astype("int32")
    for row, used in zip(token_ids, lengths, strict=True):
        row[used:] = 0
    return PromptBatch(token_ids, lengths, rng.integers(4, 80, count))


def inputs(batch: PromptBatch) -> dict:
    return {
        "token_ids": batch.token_ids,
        "padding_mask": batch.padding_mask.astype("int32"),
    }


def probabilities(lm, batch: PromptBatch) -> np.ndarray:
    """Of the targets, by KerasHub's own forward pass."""
    logits = ops.convert_to_numpy(lm(inputs(batch))).astype("float64")
    rows = np.arange(len(batch))
    logits = logits[rows, batch.lengths - 1]
    logits -= logits.max(axis=1, keepdims=True)
    return np.exp(logits[rows, batch.targets]) / np.exp(logits).sum(axis=1)


class Patched(keras.layers.Layer):
    """An output projection that sees one head replaced at one position."""

    def __init__(self, dense, head, positions, value):
        super().__init__()
        self.dense, self.head = dense, head
        self.positions, self.value = positions, value

    def call(self, heads):
        heads = ops.convert_to_numpy(heads).copy()
        heads[np.arange(len(heads)), self.positions, self.head] = self.value
        return self.dense(ops.convert_to_tensor(heads))


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_run_by_hand_equal_the_backbone_bit_for_bit(family):
    lm, batch = tiny_lm(family), prompts()
    mask = ops.convert_to_tensor(batch.padding_mask, "int32")
    x = blocks.embed(lm.backbone, batch.token_ids)
    for block in lm.backbone.transformer_layers:
        x = blocks.run_block(block, x, lambda heads: heads, padding_mask=mask)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(lm.backbone.layer_norm(x)),
        ops.convert_to_numpy(lm.backbone(inputs(batch))),
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_effect_is_that_of_patching_the_whole_forward_pass(family):
    lm, batch = tiny_lm(family, num_layers=2), prompts()
    rng = np.random.default_rng(1)
    means = rng.normal(size=(2, HEADS, 8)).astype("float32")
    # The second batch of heads begins within the second layer.
    effects = causal_indirect_effects(lm, batch, means, heads_per_batch=5)
    assert effects.shape == (2, 2, HEADS)
    before = probabilities(lm, batch)
    for layer, block in enumerate(lm.backbone.transformer_layers):
        dense = block.attention.output_dense
        for head in range(HEADS):
            patched = Patched(
                dense, head, batch.lengths - 1, means[layer, head]
            )
            # The test may do what the library does not: change the model.
            object.__setattr__(block.attention, "output_dense", patched)
            after = probabilities(lm, batch)
            object.__setattr__(block.attention, "output_dense", dense)
            np.testing.assert_allclose(
                effects[:, layer, head], after - before, atol=1e-6
            )
    assert np.abs(effects).max() > 1e-3


def test_patching_in_a_prompts_own_activations_changes_nothing():
    lm, batch = tiny_lm(), prompts(count=1)
    means = mean_head_activations(lm, batch)
    effects = causal_indirect_effects(lm, batch, means.activations)
    np.testing.assert_allclose(effects, 0.0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_sum_to_what_attention_adds_to_the_stream(family):
    lm, batch = tiny_lm(family), prompts(count=1)
    means = mean_head_activations(lm, batch)
    x = blocks.embed(lm.backbone, batch.token_ids)
    for layer, block in enumerate(lm.backbone.transformer_layers):
        seen = []
        norm = block.pre_ffw_norm
        watch = keras.layers.Lambda(
            lambda h, n=norm, s=seen: s.append(h) or n(h)
        )
        object.__setattr__(block, "pre_ffw_norm", watch)
        after = block(x)
        object.__setattr__(block, "pre_ffw_norm", norm)
        added = ops.convert_to_numpy(seen[-1] - x)[0, -1]
        np.testing.assert_allclose(
            means.contributions[layer].sum(axis=0), added, atol=1e-5
        )
        x = after


def test_means_do_not_depend_on_the_batch_size():
    lm, batch = tiny_lm(), prompts(count=3)
    one = mean_head_activations(lm, batch, batch_size=1)
    all_at_once = mean_head_activations(lm, batch)
    np.testing.assert_allclose(
        one.activations, all_at_once.activations, atol=1e-6
    )


def test_the_model_is_bit_identical_after_use_and_after_an_exception():
    lm, batch = tiny_lm(num_layers=2), prompts()
    before = ops.convert_to_numpy(lm(inputs(batch)))
    layers = [block.attention.output_dense for block in _stack(lm)]
    means = mean_head_activations(lm, batch)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        causal_indirect_effects(
            lm, batch, means.activations, progress=interrupt
        )
    causal_indirect_effects(lm, batch, means.activations)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(lm(inputs(batch))), before
    )
    assert [b.attention.output_dense for b in _stack(lm)] == layers


def test_progress_counts_heads_over_prompts():
    lm, batch = tiny_lm(num_layers=1), prompts()
    means = mean_head_activations(lm, batch)
    seen = []
    causal_indirect_effects(
        lm,
        batch,
        means.activations,
        heads_per_batch=3,
        progress=lambda *counts: seen.append(counts),
    )
    assert seen == [(3, 8), (4, 8), (7, 8), (8, 8)]


def test_a_grown_model_has_the_effects_of_its_base():
    lm, batch = tiny_lm(num_layers=2), prompts()
    twice = 2 * mean_head_activations(lm, batch).activations
    effects = causal_indirect_effects(lm, batch, twice)
    np.testing.assert_allclose(
        causal_indirect_effects(grow_model(lm), batch, twice),
        effects,
        atol=1e-6,
    )


def test_a_bfloat16_model_gives_finite_effects_near_those_of_float32():
    batch = prompts()
    lms = [tiny_lm(dtype=d, num_layers=2) for d in ("float32", "bfloat16")]
    means = mean_head_activations(lms[0], batch).activations
    effects = [causal_indirect_effects(lm, batch, 3 * means) for lm in lms]
    np.testing.assert_allclose(*effects, atol=0.02)


# A Gemma made by hand, hidden size 8 and tokens 0..7 one-hot (unit e_t). Every
# MLP is zero. All queries are zero, so each head averages over the positions.
# Only head 2 of layer 1 has a value circuit: it reads e_5 and writes `GAIN`
# times what it read to e_6. The other heads write nothing.
HIDDEN, GAIN, TASK, ANSWER, CARRIER = 8, 3.0, 5, 6, (1, 2)


def lm_with_one_causal_head():
    lm = tiny_lm(
        "gemma", vocabulary_size=HIDDEN, hidden_dim=HIDDEN, num_layers=2
    )
    for weight in lm.weights:
        weight.assign(np.zeros(weight.shape))
    lm.backbone.token_embedding.embeddings.assign(np.eye(HIDDEN))
    attention = lm.backbone.transformer_layers[CARRIER[0]].attention
    value = np.zeros(attention.value_dense.kernel.shape)
    value[0, TASK, 0] = 1.0
    attention.value_dense.kernel.assign(value)
    output = np.zeros(attention.output_dense.kernel.shape)
    output[CARRIER[1], 0, ANSWER] = GAIN
    attention.output_dense.kernel.assign(output)
    return lm


def row(*tokens: int) -> PromptBatch:
    return PromptBatch(
        np.array([tokens], "int32"), np.array([len(tokens)]), np.array([ANSWER])
    )


def test_the_head_that_carries_a_task_is_found_with_its_effect_on_paper():
    lm = lm_with_one_causal_head()
    # Two of four clean tokens are the task's, none of the corrupted ones.
    clean, corrupted = row(TASK, 2, TASK, 1), row(3, 2, 3, 1)
    means = mean_head_activations(lm, clean)
    # The norm makes each embedding e_t sqrt(8), of mean square 1, so the head
    # puts out 2/4 sqrt(8) and adds GAIN times that to e_6.
    added = GAIN * 0.5 * np.sqrt(HIDDEN)
    wanted = np.zeros((2, HEADS, HIDDEN))
    wanted[CARRIER][ANSWER] = added
    np.testing.assert_allclose(means.contributions, wanted, atol=1e-5)

    # Last token 1: stream e_1 sqrt(8), patched + added e_6. The final norm
    # divides by the root mean square; the logits are the stream itself.
    def answer(stream):
        logits = stream / np.sqrt(np.mean(stream**2))
        return np.exp(logits[ANSWER]) / np.exp(logits).sum()

    stream = np.sqrt(HIDDEN) * np.eye(HIDDEN)[1]
    effect = answer(stream + added * np.eye(HIDDEN)[ANSWER]) - answer(stream)
    effects = causal_indirect_effects(lm, corrupted, means.activations)[0]
    assert top_heads(effects, 1) == (CARRIER,)
    assert effects[CARRIER] == pytest.approx(effect, abs=1e-5)
    effects[CARRIER] = 0.0
    np.testing.assert_allclose(effects, 0.0, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1])
def test_its_function_vector_makes_the_task_work_without_examples(layer):
    lm = lm_with_one_causal_head()
    means = mean_head_activations(lm, row(TASK, TASK, TASK, 1))
    vector = means.contributions[CARRIER]
    question = row(2, 1)
    assert zero_shot_accuracy(lm, question) == 0.0
    assert zero_shot_accuracy(lm, question, vector, layer) == 1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_accuracy_without_a_vector_is_the_models_own(family):
    lm, batch = tiny_lm(family), prompts(count=5)
    logits = ops.convert_to_numpy(lm(inputs(batch)))
    best = logits[np.arange(5), batch.lengths - 1].argmax(axis=1)
    targets = np.where(np.arange(5) < 3, best, 3 + (best == 3))
    batch = PromptBatch(batch.token_ids, batch.lengths, targets)
    assert zero_shot_accuracy(lm, batch, batch_size=2) == 0.6


def test_misuse_is_named():
    lm, batch = tiny_lm(), prompts()
    with pytest.raises(ValueError, match=r"shape \(4, 4, 8\)\. Received"):
        causal_indirect_effects(lm, batch, np.zeros((4, 2, 8)))
    with pytest.raises(TypeError, match="Expected a KerasHub model"):
        mean_head_activations(keras.Sequential(), batch)
    with pytest.raises(ValueError, match="together, or neither"):
        zero_shot_accuracy(lm, batch, layer=1)
    for vector, layer in ((np.zeros(3), 1), (np.zeros(16), 4)):
        with pytest.raises(ValueError, match=r"`layer` from 0 to 3\. Received"):
            zero_shot_accuracy(lm, batch, vector, layer)
    with pytest.raises(ValueError, match=r"`k` to be from 1 to 4"):
        top_heads(np.zeros((2, 2)), 5)
    with pytest.raises(ValueError, match="a length from 1 to"):
        PromptBatch(np.zeros((1, 3)), np.array([4]), np.array([0]))


def _stack(lm):
    return lm.backbone.transformer_layers

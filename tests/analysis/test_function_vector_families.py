"""Function vectors of every family that has them, and a refusal elsewhere.

One of each way to call a block; `--every-family` takes the others, too.
"""

import numpy as np
import pytest
from family_models import few_programs
from family_models import parametrize_families
from family_models import tiny_family
from keras import ops
from patching import Patched
from patching import Watched
from patching import inputs
from patching import output_of
from patching import probabilities
from patching import projected_by
from word_tokens import UPPER
from word_tokens import Words

import keras_grow
from keras_grow.analysis import find_function_vector
from keras_grow.analysis import task_prompts
from keras_grow.growth.families import family_of

FOUND = {"Gemma", "Gemma 2", "Gemma 3", "Llama", "Llama 3", "Mistral"}
FOUND |= {"Qwen 2.5", "Qwen 3"}
KINDS = ("Gemma 2", "Gemma 3", "Qwen 3", "Gemma 4", "Qwen 3.5")
SEARCH = dict(prompts=2, shots=2)
pytestmark = pytest.mark.once


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        parametrize_families(metafunc, "name", KINDS)


@pytest.fixture(scope="module")
def name(request):
    with few_programs():
        yield request.param


def test_the_function_vector_is_that_of_numpy_or_is_refused(name):
    lm = keras_grow.grow_model(tiny_family(name))
    for weight in lm.trainable_weights:
        weight.assign(weight * 4.0)
    if name not in FOUND:
        plain = type(lm.backbone).__name__
        with pytest.raises(ValueError, match=f"Qwen 3. Received: .*{plain}"):
            find_function_vector(lm, UPPER, Words(), **SEARCH, verbose=0)
        return
    found = find_function_vector(lm, UPPER, Words(), **SEARCH, top=3, verbose=0)
    drawn = task_prompts(UPPER, Words(), **SEARCH)
    means, added = of_clean_prompts(lm, drawn.clean)
    effects = of_corrupted_prompts(lm, drawn.corrupted, means)
    np.testing.assert_allclose(found.effects, effects, atol=1e-6)
    order = np.argsort(-effects, axis=None)[:3]
    heads = tuple(zip(*np.unravel_index(order, effects.shape), strict=True))
    assert found.heads == heads
    vector = sum(added[head] for head in heads)
    np.testing.assert_allclose(found.vector, vector, atol=1e-5)
    assert np.abs(vector).max() > 1e-2


def blocks_of(lm):
    return family_of(lm.backbone).blocks_of(lm.backbone)


def of_clean_prompts(lm, batch):
    """Mean outputs of the heads at the last token, and what they add."""
    means, added = [], []
    for block in blocks_of(lm):
        holder, name = output_of(lm, block)
        dense = getattr(holder, name)
        with projected_by(holder, name, Watched(dense)) as watched:
            lm(inputs(batch))
        heads = watched.seen[np.arange(len(batch)), batch.lengths - 1]
        kernel = ops.convert_to_numpy(dense.kernel)
        each = np.einsum("bhd,hdm->bhm", heads, kernel)
        if getattr(block, "use_post_attention_norm", False):
            norm = block.post_attention_norm
            square = np.mean(each.sum(1, keepdims=True) ** 2, -1, keepdims=True)
            gain = 1.0 + ops.convert_to_numpy(norm.scale)
            each = each * gain / np.sqrt(square + norm.epsilon)
        means.append(heads.mean(0))
        added.append(each.mean(0))
    return np.stack(means), np.stack(added)


def of_corrupted_prompts(lm, batch, means):
    """How much likelier the answers get with one head put to its mean."""
    effects = np.zeros(means.shape[:2])
    before = probabilities(lm, batch)
    for layer, head in np.ndindex(*effects.shape):
        holder, name = output_of(lm, blocks_of(lm)[layer])
        patched = Patched(
            getattr(holder, name), head, batch.lengths - 1, means[layer, head]
        )
        with projected_by(holder, name, patched):
            effects[layer, head] = (probabilities(lm, batch) - before).mean()
    return effects

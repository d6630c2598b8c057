"""Gemma 3 270M, the base and a trained growth, writes the same elsewhere."""

import keras
import numpy as np
import pytest
from transformers import AutoTokenizer

import keras_grow
from keras_grow import export_transformers
from keras_grow import load_causal_lm
from keras_grow.export import check

# The base goes on for more than 32 tokens, and so does the grown model.
PROMPT = "Once upon a time there was"
NEW = 32
PAIRS = [
    ("Two girls play on the grass.", "Deux filles jouent sur l'herbe."),
    ("A dog runs along the water.", "Un chien court le long de l'eau."),
]


@pytest.mark.real("jax")
def test_greedy_text_of_the_real_model_is_equal_token_for_token(tmp_path):
    lm = load_causal_lm("gemma3_270m_pip")
    tokenizer = lm.preprocessor.tokenizer
    base = greedy(lm)
    assert len(base) == NEW
    export_transformers(lm, tmp_path / "base")
    assert transformers_greedy(tmp_path / "base") == base
    theirs = AutoTokenizer.from_pretrained(tmp_path / "base")
    for text in (PROMPT, "  naïve\n\n\n東京 🦊 12345 <start_of_turn>"):
        ids = theirs(text, add_special_tokens=False).input_ids
        assert ids == list(tokenizer(text))

    keras_grow.grow_model(lm, layers=6)
    lm.preprocessor.sequence_length = 40
    lm.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    prompts = np.array([f"English: {en}\nFrench:" for en, _ in PAIRS])
    answers = np.array([f" {fr}" for _, fr in PAIRS])
    examples = {"prompts": prompts, "responses": answers}
    lm.fit(examples, batch_size=2, epochs=2, verbose=0)
    grown = greedy(lm)
    assert grown != base
    assert len(grown) > 8
    exported = export_transformers(lm, tmp_path / "grown")
    assert transformers_greedy(tmp_path / "grown") == grown
    # Twelve blocks lack 2048 neurons of 3 times 640 weights.
    assert exported.padding_bytes == 12 * 2048 * 3 * 640 * 4


def greedy(lm):
    """The tokens that KerasHub appends to the prompt."""
    tokenizer = lm.preprocessor.tokenizer
    prompt = [tokenizer.start_token_id, *map(int, tokenizer(PROMPT))]
    ids = np.zeros((1, len(prompt) + NEW), "int32")
    ids[0, : len(prompt)] = prompt
    lm.compile(sampler="greedy")
    made = lm.make_generate_function()(
        {
            "token_ids": ids,
            "padding_mask": np.arange(ids.shape[1])[None] < len(prompt),
        },
        stop_token_ids=None,
    )
    found = keras.ops.convert_to_numpy(made["token_ids"])
    return cut(found[0, len(prompt) :].tolist())


def transformers_greedy(folder):
    model = check.load_transformers(folder)
    inputs = AutoTokenizer.from_pretrained(folder)(PROMPT, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=NEW, do_sample=False)
    return cut(made[0, inputs.input_ids.shape[1] :].tolist())


def cut(tokens):
    """The tokens before the first that ends a text."""
    return tokens[: tokens.index(1)] if 1 in tokens else tokens

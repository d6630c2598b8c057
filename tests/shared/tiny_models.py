"""Tiny random-weight models, their tokenizer and a batch for them."""

import contextlib
import functools
from collections.abc import Iterator
from unittest import mock

import keras
import keras_hub
import numpy as np
from keras import ops
from tiny_pieces import trained

VOCABULARY_SIZE = 80
HIDDEN_DIM = 16
INTERMEDIATE_DIM = 24
NUM_LAYERS = 2

GEMMA3 = dict(
    vocabulary_size=VOCABULARY_SIZE,
    image_size=16,
    num_layers=NUM_LAYERS,
    num_query_heads=4,
    num_key_value_heads=2,
    hidden_dim=HIDDEN_DIM,
    intermediate_dim=INTERMEDIATE_DIM,
    head_dim=8,
    use_query_key_norm=True,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
    use_sliding_window_attention=True,
    sliding_window_size=8,
)
GEMMA = dict(
    vocabulary_size=VOCABULARY_SIZE,
    num_layers=NUM_LAYERS,
    num_query_heads=4,
    num_key_value_heads=1,
    hidden_dim=HIDDEN_DIM,
    intermediate_dim=2 * INTERMEDIATE_DIM,
    head_dim=8,
)
GEMMA2 = dict(
    GEMMA,
    num_key_value_heads=2,
    use_post_ffw_norm=True,
    use_post_attention_norm=True,
    attention_logit_soft_cap=50.0,
    final_logit_soft_cap=30.0,
    use_sliding_window_attention=True,
    sliding_window_size=8,
)

_TEXT = [
    "the quick brown fox jumps over the lazy dog",
    "a model that grows does not forget what it knew",
    "bonjour le monde, hello world",
]


@functools.cache
def tokenizer_proto() -> bytes:
    """A sentencepiece model of 80 pieces with Gemma's special tokens."""
    return trained(
        sentence_iterator=iter(_TEXT),
        vocab_size=VOCABULARY_SIZE,
        # SentencePiece's own, which every text here is short of.
        byte_fallback=False,
        add_dummy_prefix=True,
        remove_extra_whitespaces=True,
        normalization_rule_name="nmt_nfkc",
        user_defined_symbols=[
            "<start_of_turn>",
            "<end_of_turn>",
            "<start_of_image>",
            "<end_of_image>",
            "<img>",
        ],
    )


@contextlib.contextmanager
def drawn_by_numpy() -> Iterator[None]:
    """Initial weights without the program that JAX compiles for each shape."""
    rng = np.random.default_rng(0)

    def draw(initializer, shape, dtype=None, **kwargs):
        return ops.convert_to_tensor(rng.normal(0.0, 0.1, shape), dtype)

    with contextlib.ExitStack() as stack:
        for name in ("RandomNormal", "TruncatedNormal", "VarianceScaling"):
            cls = getattr(keras.initializers, name)
            stack.enter_context(mock.patch.object(cls, "__call__", draw))
        yield


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give every weight of `model` a known random value, norms included."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name == "inv_freq":
            continue  # SmolLM 3 keeps what follows from its config.
        scale = 1.0 / np.sqrt(max([*weight.shape[:1], 1]))
        weight.assign(rng.normal(0.0, scale, weight.shape))
    return model


def tiny_lm(
    family: str = "gemma3",
    dtype: str = "float32",
    tokenizer: bool = False,
    seed: int = 0,
    **overrides,
) -> keras.Model:
    """A tiny causal language model: "gemma", "gemma2" or "gemma3".

    With `tokenizer`, strings go in and out; without, token ids do.
    """
    with drawn_by_numpy():
        lm = _built(family, tokenizer, dtype=dtype, **overrides)
    return randomize(lm, seed)


def _built(family: str, tokenizer: bool, **config) -> keras.Model:
    models = keras_hub.models
    preprocessor = None
    if family == "gemma3":
        backbone = models.Gemma3Backbone(**{**GEMMA3, **config})
        if tokenizer:
            preprocessor = models.Gemma3CausalLMPreprocessor(
                models.Gemma3Tokenizer(proto=tokenizer_proto()),
                sequence_length=16,
            )
        return models.Gemma3CausalLM(
            backbone=backbone, preprocessor=preprocessor
        )
    shape = {"gemma": GEMMA, "gemma2": GEMMA2}[family]
    backbone = models.GemmaBackbone(**{**shape, **config})
    if tokenizer:
        preprocessor = models.GemmaCausalLMPreprocessor(
            models.GemmaTokenizer(proto=tokenizer_proto()),
            sequence_length=16,
        )
    return models.GemmaCausalLM(backbone=backbone, preprocessor=preprocessor)


def compiled_outputs(model: keras.Model, x: dict) -> np.ndarray:
    """What a model computes in float32, as one program.

    Of a call JAX would compile every operation by itself, which takes longer
    where no other test has the same shapes.
    """
    # Not the task's own, which would run its preprocessor over token ids.
    outputs = keras.Model.predict_on_batch(model, x)
    return np.asarray(outputs, "float32")


def token_batch(batch: int = 2, length: int = 12, seed: int = 0) -> dict:
    """Random token ids with a padded tail in the last row."""
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, length), dtype=bool)
    mask[-1, length - 3 :] = False
    tokens = rng.integers(4, VOCABULARY_SIZE, (batch, length))
    return {
        "token_ids": np.where(mask, tokens, 0).astype("int32"),
        "padding_mask": mask,
    }

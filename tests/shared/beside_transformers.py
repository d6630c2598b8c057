"""Tiny models of transformers, and their logits beside those of KerasHub's."""

import numpy as np
import pytest
from family_models import LENGTH
from tiny_models import compiled_outputs

import keras_grow

torch = pytest.importorskip("torch")


def drawn(source):
    """A model with random weights in which a difference shows."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in source.parameters():
            # The defaults are too small for a difference to show, and some
            # converters go through float16.
            parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.half().float())
    return source.eval()


def logits_of(model, tokens, **inputs):
    with torch.no_grad():
        return model(torch.tensor(tokens), **inputs).logits.float().numpy()


def random_batch():
    tokens = np.random.default_rng(0).integers(4, 40, (2, LENGTH))
    return tokens, {
        "token_ids": tokens.astype("int32"),
        "padding_mask": np.ones_like(tokens, "bool"),
    }


def check(lm, batch, wanted):
    """The logits of `lm` with those of transformers."""
    assert np.std(wanted) > 0.1
    atol = 1e-4 * np.abs(wanted).max()
    found = compiled_outputs(lm, batch)
    np.testing.assert_allclose(found, wanted, atol=atol)


def compare(lm, batch, wanted):
    """The logits of `lm`, as it is and grown, with those of transformers."""
    check(lm, batch, wanted)
    check(keras_grow.grow_model(lm), batch, wanted)

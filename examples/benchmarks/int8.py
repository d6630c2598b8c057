"""What a base in int8 costs in accuracy: perplexity of a text, both ways.

The base alone, and with a growth of all blocks in float32 on top, whose copies
were made of the int8 base.

    python examples/benchmarks/int8.py --text wiki.txt --output int8.json

The text is cut into windows of tokens; every token but the first of a window
is predicted. Weights alone are in int8 (`keras_grow.quantize_base`). Keras has
no such layers on PyTorch.
"""

import argparse
import json
import math
from pathlib import Path

import keras
import numpy as np
from machine import describe

import keras_grow
from keras_grow import load_causal_lm
from keras_grow.growth.costs import variable_bytes


def windows(tokenizer, text, count, length):
    """The first `count` windows of a text, int `[count, length]`."""
    tokens = []
    for line in text.splitlines(keepends=True):
        tokens.extend(np.asarray(tokenizer(line)).tolist())
        if len(tokens) >= count * (length - 1):
            break
    rows = len(tokens) // (length - 1)
    if rows < count:
        raise ValueError(
            f"Expected a text of {count} windows of {length} tokens. "
            f"Received: one of {rows}. Pass a longer text or fewer windows."
        )
    body = np.array(tokens[: count * (length - 1)], "int32")
    start = np.full((count, 1), tokenizer.start_token_id, "int32")
    return np.concatenate([start, body.reshape(count, -1)], axis=1)


def loss_of(lm, tokens):
    """Mean negative log-likelihood of a token, in nats."""
    # Compiled anew: what was compiled before holds the other weights.
    lm.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
    )
    keras_grow.supervised_logits(lm)
    inputs, labels = tokens[:, :-1], tokens[:, 1:]
    x = {"token_ids": inputs, "padding_mask": np.ones_like(inputs, bool)}
    weights = np.ones(labels.shape, "float32")
    return float(
        lm.evaluate(x, labels, sample_weight=weights, batch_size=4, verbose=0)
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--text", required=True, help="a file in UTF-8")
    parser.add_argument("--model", default="gemma3_270m_pip")
    parser.add_argument("--windows", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--output", default="int8.json")
    arguments = parser.parse_args()

    if keras.config.backend() == "torch":
        raise SystemExit("Expected the JAX or the TensorFlow backend.")
    lm = load_causal_lm(arguments.model)
    tokenizer = lm.preprocessor.tokenizer
    lm.preprocessor = None
    text = Path(arguments.text).read_text(encoding="utf-8")
    tokens = windows(tokenizer, text, arguments.windows, arguments.length)
    report = {
        "machine": describe(),
        "backend": keras.config.backend(),
        "model": arguments.model,
        "tokens": int(tokens[:, 1:].size),
    }
    steps = {
        "float32": lambda lm: lm,
        "int8": keras_grow.quantize_base,
        "int8, grown": keras_grow.grow_model,
    }
    for name, step in steps.items():
        step(lm)
        loss = loss_of(lm, tokens)
        report[name] = {
            "log_likelihood_a_token": -loss,
            "perplexity": math.exp(loss),
            "weights_gb": sum(variable_bytes(w) for w in lm.weights) / 1e9,
        }
        print(name, report[name], flush=True)
    change = report["int8"]["perplexity"] / report["float32"]["perplexity"] - 1
    report["perplexity_change"] = change
    print(f"perplexity {change:+.2%}")
    Path(arguments.output).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

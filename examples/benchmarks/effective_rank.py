"""Seconds of the effective rank of the largest kernel of Gemma 3 1B, as JSON.

    python examples/benchmarks/effective_rank.py

A kernel of random numbers, whose rank is full, and the update of a rank of 16
that the sampled singular values are for.
"""

import json
import time

import numpy as np
from machine import describe

from keras_grow.analysis.ranks import effective_rank
from keras_grow.selection.svd import randomized_singular_values
from keras_grow.selection.svd import singular_values

SHAPE = (1152, 6912)
RANK = 16


def timed(function, *arguments):
    """What a function returns, and the seconds of the fastest of three."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        found = function(*arguments)
        seconds.append(time.perf_counter() - start)
    return found, round(min(seconds), 3)


def main():
    rng = np.random.default_rng(0)
    full = rng.normal(size=SHAPE).astype("float32")
    low = rng.normal(size=(SHAPE[0], RANK)) @ rng.normal(size=(RANK, SHAPE[1]))
    low = low.astype("float32")
    values, exact_s = timed(singular_values, full)
    exact, _ = timed(singular_values, low)
    (sampled, bound), sampled_s = timed(randomized_singular_values, low, RANK)
    report = {
        "machine": describe(),
        "shape": SHAPE,
        "full_rank": {"exact_s": exact_s, "rank": effective_rank(values)},
        f"rank_{RANK}": {
            "sampled_s": sampled_s,
            "rank": effective_rank(sampled),
            "rank_by_exact_values": effective_rank(exact[:RANK]),
            "largest_error": float(np.abs(sampled - exact[:RANK]).max()),
            "bound": bound,
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()

"""Weights between a base and what it was tuned to.

WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv
2109.01903): the straight line between the two sets of weights often keeps
more of the base than either end of training does, and costs no training. It is
the rival of a growth's dial, and is used for every method without one.
"""

from typing import Any


def between(old: Any, new: Any, share: float) -> Any:
    """`(1 - share) old + share new`, exact at both ends."""
    if share in (0, 1):
        return new if share else old
    # Not `old + share (new - old)`, which rounds the difference first.
    return (1 - share) * old + share * new

"""A share of the entries of a change: forgetting-aware pruning.

FAPM (Huang et al. 2025, "Mitigating Catastrophic Forgetting in Large Language
Models with Forgetting-aware Pruning", arXiv 2509.08255) puts most entries of
fine-tuned weights back and keeps those whose change is large, yet small
against the weight that it is added to. It costs no training.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def forgetting_aware_metric(old: Any, new: Any) -> NDArray[np.floating[Any]]:
    """FAPM's score of each entry of a change.

    With `d = new - old` it is `|d| - mean(|old|) |d| / |old|`, the mean being
    over the whole array; minus infinity where `old` is zero.
    """
    size, change = np.abs(old), np.abs(np.subtract(new, old))
    relative = np.full_like(change, np.inf)
    np.divide(change, size, out=relative, where=size > 0)
    score: NDArray[np.floating[Any]] = change - size.mean() * relative
    return score


def keep_entries(old: Any, new: Any, share: float) -> Any:
    """`new` at the share of the entries that score highest, else `old`.

    The share is one minus the paper's sparsity. The paper prunes each weight by
    itself, as this does.
    """
    if share in (0, 1):
        return new if share else old
    score = forgetting_aware_metric(old, new)
    count = round(share * score.size)
    if not count:
        return old
    least = np.partition(score, -count, axis=None)[-count]
    return np.where((score >= least) & np.isfinite(score), new, old)

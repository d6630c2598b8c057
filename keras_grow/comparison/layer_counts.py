"""How many blocks to grow: the paper's sweep over N, section 4.3."""

import dataclasses
import re
from collections.abc import Sequence

from keras_grow.comparison.kinds import KINDS
from keras_grow.comparison.method import Method
from keras_grow.selection.layer_scores import LayerScores

PAPER_COUNTS = (1, 3, 5, 7, 10, 15, 20)
# What `with_layer_counts` adds to a name.
COUNTED_NAME = re.compile(r"_n\d+$")


def with_layer_counts(
    methods: Sequence[Method],
    scores: LayerScores,
    counts: Sequence[int] = PAPER_COUNTS,
) -> tuple[Method, ...]:
    """Replace every method that grows blocks by one per number of blocks.

    Args:
        methods: methods of a plan. Each that grows blocks becomes one method
            per count; SFT and LoRA stay as they are.
        scores: ranking that the blocks are taken from, best first.
        counts: numbers of blocks. One that exceeds the ranking is lowered to
            its length, so rank all blocks of the model.

    Returns:
        The methods; one of N blocks is named `NAME_nN`.

    Raises:
        ValueError: if a count is less than one, or no method grows.

    Example:

    ```python
    from keras_grow.comparison import Method
    from keras_grow.comparison.layer_counts import with_layer_counts
    from keras_grow.selection import last_blocks

    grown = Method("grown", "g_freeze", learning_rate=5e-5)
    with_layer_counts([grown], last_blocks(18))  # 1, 3, 5, 7, 10, 15, 18
    ```
    """
    if not counts or min(counts) < 1:
        raise ValueError(
            "Expected `counts` to be numbers of blocks, 1 or more. "
            f"Received: counts={tuple(counts)}"
        )
    capped = dict.fromkeys(min(n, len(scores)) for n in counts)
    result: list[Method] = []
    for method in methods:
        if not KINDS[method.kind].grows_blocks:
            result.append(method)
            continue
        result += [
            dataclasses.replace(
                method,
                name=f"{method.name}_n{n}",
                layers=tuple(sorted(scores.top(n))),
            )
            for n in capped
        ]
    if not any(KINDS[method.kind].grows_blocks for method in methods):
        raise ValueError(
            "Expected a method that grows blocks. Received: kinds "
            f"{[method.kind for method in methods]}"
        )
    return tuple(result)

"""Choices of blocks that ignore the weights: the ones to beat."""

from typing import Any

from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import is_int
from keras_grow.growth import families
from keras_grow.selection.layer_scores import LayerScores


def last_blocks(model: Any) -> LayerScores:
    """Rank blocks by depth, the last one first.

    The blocks nearest the output are the most specific to a task and are
    commonly the first to be tuned (Yosinski et al. 2014, arXiv 1411.1792;
    gradual unfreezing of Howard and Ruder 2018, arXiv 1801.06146). They are
    also the cheapest to train: nothing below them needs a backward pass.

    Cost: none.

    Args:
        model: a KerasHub task or backbone, or its number of blocks.

    Returns:
        `LayerScores` of all the blocks; the score is the depth.

    Example:
    ```python
    from keras_grow.selection import last_blocks

    assert list(last_blocks(18).top(2)) == [17, 16]
    ```
    """
    depths = [float(block) for block in range(_num_blocks(model))]
    return LayerScores.ranked(depths, "last", "depth of the block")


def evenly_spaced(model: Any, n: int) -> LayerScores:
    """Choose `n` blocks evenly spaced over the depth, the last one included.

    The placement of the new blocks of LLaMA Pro (Wu et al. 2024, arXiv
    2401.02415): the stack is cut into `n` groups and the top block of each
    is taken.

    Cost: none.

    Args:
        model: a KerasHub task or backbone, or its number of blocks.
        n: how many blocks, from 1 to their number.

    Returns:
        `LayerScores` of `n` blocks with equal scores, the last block first.

    Raises:
        ValueError: if `n` is no int, or there are not `n` blocks.

    Example:
    ```python
    from keras_grow.selection import evenly_spaced

    assert sorted(evenly_spaced(18, 3)) == [5, 11, 17]
    ```
    """
    total = _num_blocks(model)
    n = check_int(n, "n", 1, total)
    blocks = [((i + 1) * total) // n - 1 for i in reversed(range(n))]
    return LayerScores(
        tuple(blocks), (1.0,) * n, "evenly_spaced", f"{n} of {total} blocks"
    )


def _num_blocks(model: Any) -> int:
    if is_int(model):
        return check_int(model, "model", 1)
    backbone = families.backbone_of(model)
    return len(families.family_of(backbone).blocks_of(backbone))

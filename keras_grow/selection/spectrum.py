"""Ranking by signal-to-noise of the weights alone (Spectrum)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.selection.kernels import as_matrix
from keras_grow.selection.kernels import slots_of
from keras_grow.selection.layer_scores import LayerScores
from keras_grow.selection.sources import open_kernels
from keras_grow.selection.svd import singular_values


def signal_to_noise(kernel: NDArray[Any]) -> float:
    """Signal-to-noise ratio of one kernel by the Marchenko-Pastur edge.

    The scale of the noise is estimated as the interquartile range of the
    singular values over 1.349; singular values above the edge
    `scale * (1 + sqrt(m / n))` are signal, those below are noise. The ratio of
    their sums is divided by the largest singular value, which makes kernels of
    different scale comparable. Definition of Spectrum (Hartford et al. 2024,
    arXiv 2406.06623).

    Args:
        kernel: array of shape `(n, m)`.

    Returns:
        The ratio; 0 when no singular value is above the edge.

    Example:
    ```python
    import numpy as np
    from keras_grow.selection.spectrum import signal_to_noise

    signal_to_noise(np.random.default_rng(0).normal(size=(64, 256)))
    ```
    """
    values = singular_values(kernel)
    low, high = np.quantile(values, [0.25, 0.75])
    aspect = min(kernel.shape) / max(kernel.shape)
    edge = (high - low) / 1.349 * (1.0 + np.sqrt(aspect))
    signal = float(values[values > edge].sum())
    noise = float(values[values <= edge].sum())
    if signal == 0.0:
        return 0.0
    # If the quartiles are equal, the edge is 0: nothing is below it.
    noise = noise or float(np.finfo("float32").eps) * signal
    return signal / noise / float(values[0])


def rank_by_signal_to_noise(
    source: Any, over: str | Sequence[str] = "mlp"
) -> LayerScores:
    """Rank blocks by the signal-to-noise ratio of their weights.

    This needs no data and no training. A block with a high ratio has much more
    structure than random matrices of its shape. Spectrum (arXiv 2406.06623)
    trains such blocks and freezes the others. It ranks each kind of kernel
    separately; so the ratios of each kind are divided by their mean over the
    blocks, and the score of a block is the mean over kinds.

    Cost: the singular values of every such kernel, read one at a time.

    Args:
        source: a model or a checkpoint on disk, see `rank_layers`.
        over: which kernels, see `rank_layers`. Defaults to `"mlp"`.

    Returns:
        `LayerScores` of all the blocks, best first. 1 is the average block.

    Raises:
        ValueError: if `source` holds no blocks of a known family.

    Example:
    ```python
    from keras_grow.selection import rank_by_signal_to_noise

    scores = rank_by_signal_to_noise("base.weights.h5")
    ```
    """
    kernels = open_kernels(source)
    family = kernels.family
    slots = slots_of(family, over)
    ratios = np.array(
        [
            [
                signal_to_noise(
                    as_matrix(kernels.read(block, slot), family, slot)
                )
                for slot in slots
            ]
            for block in range(kernels.num_blocks)
        ]
    )
    means = ratios.mean(axis=0)
    ratios = ratios / np.where(means > 0.0, means, 1.0)
    return LayerScores.ranked(
        ratios.mean(axis=1).tolist(),
        "signal_to_noise",
        "signal-to-noise by the Marchenko-Pastur edge of " + ", ".join(slots),
    )

"""Ranking by gradient norm on a few batches, with no SFT run at all."""

import math
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_grow.growth import families
from keras_grow.growth.state import growths_of
from keras_grow.keras_internals import kernel_variable
from keras_grow.selection.kernels import checked_norm
from keras_grow.selection.kernels import slots_of
from keras_grow.selection.kernels import squared_norm
from keras_grow.selection.layer_scores import LayerScores
from keras_grow.selection.sources import open_kernels


def rank_by_gradient(
    lm: keras.Model,
    batches: Iterable[Any],
    loss: Any = None,
    relative: bool = True,
) -> LayerScores:
    """Rank blocks by the gradient norm of their MLP kernels.

    The score of a block is the root mean square over batches of the Frobenius
    norm of the gradient of its MLP kernels, over the norm of those kernels.
    This is the relative gradient norm of Auto-RGN (Lee et al. 2023, "Surgical
    Fine-Tuning", arXiv 2210.11466), taken before training.

    Cost: one forward and one backward pass per batch, like a step of SFT
        without optimizer moments. No weight changes.

    Args:
        lm: a KerasHub causal language model.
        batches: `(x, y)` or `(x, y, sample_weight)` batches, as the model's
            preprocessor returns them: `x` as `lm` takes it, `y` of shape
            `(batch, length)`. All of them are used: pass a few.
        loss: a Keras loss. Defaults to the sparse categorical cross-entropy
            of logits.
        relative: bool. Whether to divide by the norm of the kernels. Defaults
            to `True`.

    Returns:
        `LayerScores` of all the blocks, best first.

    Raises:
        TypeError: if `lm` is a backbone.
        ValueError: if there is no batch, a batch has a different form, an MLP
            kernel of the model is frozen, or `relative` would divide by 0.

    Example:
    ```python
    from keras_grow.selection import rank_by_gradient

    x, y, weight = lm.preprocessor(["2 + 2 = 4", "3 + 3 = 6"])
    scores = rank_by_gradient(lm, [(x, y, weight)])
    ```
    """
    backbone = families.backbone_of(lm)
    family = families.family_of(backbone)
    if lm is backbone:
        raise TypeError(
            "Expected a KerasHub causal language model, whose outputs are "
            f"logits. Received: the backbone {backbone.name!r}"
        )
    if growths_of(backbone):
        raise ValueError(
            "Expected a base model. Received: one that is grown already. Rank "
            "the model before growing it."
        )
    slots = slots_of(family, "mlp")
    kernels = [
        [kernel_variable(layer) for layer in family.mlp_of(block)]
        for block in family.blocks_of(backbone)
    ]
    frozen = [k.path for block in kernels for k in block if not k.trainable]
    if frozen:
        raise ValueError(
            "Expected every MLP kernel to be trainable, as in SFT. Received: "
            f"frozen {frozen}. Make them trainable for the ranking."
        )
    # A separate model over the same variables: what the caller has compiled
    # stays as it is.
    probe = keras.Model(lm.inputs, lm.outputs[0])
    recorder = _GradientRecorder()
    probe.compile(
        optimizer=recorder,
        loss=loss
        or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    count = 0
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(
                "Expected batches of `(x, y)` or `(x, y, sample_weight)`. "
                f"Received: {type(batch)}"
            )
        probe.train_on_batch(*batch)
        count += 1
    if not count:
        raise ValueError("Expected at least one batch. Received: none")
    squares = recorder.squares()
    scores = []
    weights = open_kernels(backbone)
    for index, block in enumerate(kernels):
        score = sum(squares[k.path] for k in block) / count
        if relative:
            norm = sum(squared_norm(weights.read(index, s)) for s in slots)
            score /= checked_norm(norm)
        scores.append(math.sqrt(score))
    measured = "gradient norm of the MLP kernels"
    if relative:
        measured += ", relative to their norm"
    batches_read = "1 batch" if count == 1 else f"{count} batches"
    return LayerScores.ranked(scores, "gradient", f"{measured}; {batches_read}")


class _GradientRecorder(keras.optimizers.Optimizer):
    """An optimizer that changes nothing and sums squared gradient norms."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name="gradient_recorder")

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._sums = [
            self.add_variable(shape=(), dtype="float32", name="square")
            for _ in variables
        ]

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        total = self._sums[self._get_variable_index(variable)]
        square = ops.sum(ops.square(ops.cast(gradient, "float32")))
        self.assign_add(total, square)

    def squares(self) -> dict[str, float]:
        """The sums by the path of the variable."""
        return {
            variable.path: float(total)
            for variable, total in zip(
                self._trainable_variables, self._sums, strict=True
            )
        }

"""Weights between a base and what it was tuned to.

WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv
2109.01903): the straight line between the two sets of weights often keeps
more of the base than either end of training does, and costs no training. It
is the rival of a growth's dial, and serves every method that has none.
"""

from typing import Any

import keras
from keras import ops

from keras_grow.growth.scale import growths
from keras_grow.growth.scale import set_growths

_FIRST_FACTOR = "lora_kernel_a"


class Interpolation:
    """A model between its base and what it was tuned to.

    Made from the base, before training:

    ```python
    between = Interpolation(lm)
    lm.fit(data)
    between.keep(0.5)  # half of what the weights have changed
    between.keep(1.0)  # what was trained, to the bit
    ```

    A grown model is turned by its dial, which is exactly the base at 0. Of
    LoRA's factors the second, which starts from zero, is scaled and the
    first is not, so that the change of a kernel is proportional to the share.

    Args:
        lm: a model that is ready to train: what trains now is interpolated.
    """

    def __init__(self, lm: keras.Model) -> None:
        self.lm = lm
        self.dial = {
            name: growth.scale
            for name, growth in growths(lm).items()
            if growth.trainable
        }
        self.rest = {
            name: growth.scale
            for name, growth in growths(lm).items()
            if not growth.trainable
        }
        self.variables = (
            []
            if self.dial
            else [
                variable
                for variable in lm.trainable_variables
                if _FIRST_FACTOR not in variable.path
            ]
        )
        # Copies: a training step of JAX takes the variables' own buffers.
        self.base = [ops.copy(v.value) for v in self.variables]
        self.tuned: list[Any] | None = None

    def keep(self, share: float) -> keras.Model:
        """Give the model this share of the change; train no further after it.

        Args:
            share: 0 for the base, 1 for what was trained.

        Returns:
            The model.

        Raises:
            ValueError: if `share` is not from 0 to 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(
                f"Expected `share` from 0 to 1. Received: share={share!r}"
            )
        if self.dial:
            scales = {name: share * scale for name, scale in self.dial.items()}
            return set_growths(self.lm, {**self.rest, **scales})
        if self.tuned is None:
            self.tuned = [ops.copy(v.value) for v in self.variables]
        for variable, old, new in zip(
            self.variables, self.base, self.tuned, strict=True
        ):
            variable.assign(between(old, new, share))
        return self.lm


def between(old: Any, new: Any, share: float) -> Any:
    """`(1 - share) old + share new`, and either end to the bit."""
    if share in (0, 1):
        return new if share else old
    # As this sum: `old + share (new - old)` rounds a difference first.
    return (1 - share) * old + share * new

"""The two halves of an MLP whose down-projection does not train."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_grow.layers import expand


@keras.saving.register_keras_serializable(package="keras_grow")
class CopiedDense(keras.layers.Layer):
    """An up-projection as `k` dense layers side by side, all trainable.

    Each copy maps `[..., h]` to `[..., p]`: it has the base's shape, so that
    its product rounds like the base's. See G-Train in section 3 of arXiv
    2603.08647.
    """

    def __init__(
        self, copies: Sequence[keras.layers.Layer], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.copies = list(copies)

    def build(self, input_shape: Sequence[Any]) -> None:
        """Build every copy for inputs of `input_shape`."""
        with keras.name_scope(self.name):
            for copy in self.copies:
                if not copy.built:
                    copy.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Apply every copy and concatenate what they return."""
        return ops.concatenate([copy(inputs) for copy in self.copies], axis=-1)

    @property
    def kernel(self) -> Any:
        """The copies' kernels side by side, `[h, k p]`."""
        return ops.concatenate([copy.kernel for copy in self.copies], axis=-1)

    @property
    def bias(self) -> Any:
        """The copies' biases, `[k p]`, or None where there are none."""
        if self.copies[0].bias is None:
            return None
        return ops.concatenate([copy.bias for copy in self.copies], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Configuration that `from_config` takes."""
        serialize = keras.saving.serialize_keras_object
        copies = [serialize(copy) for copy in self.copies]
        return {**super().get_config(), "copies": copies}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CopiedDense":
        """Make the layer from what `get_config` returned."""
        deserialize = keras.saving.deserialize_keras_object
        copies = [deserialize(copy) for copy in config["copies"]]
        return cls(**{**config, "copies": copies})


@keras.saving.register_keras_serializable(package="keras_grow")
class Fold(keras.layers.Layer):
    """Sum the copies of every neuron, weighted by their shares.

    The result passes through the base's down-projection once, instead of
    through `k` copies of it. The shares of a neuron sum to `total`. The layer
    has no weights.
    """

    def __init__(
        self,
        factor: int,
        width: int,
        shares: str = "equal",
        total: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.width = width
        self.shares = shares
        self.total = total
        self.built = True

    @property
    def neuron_shares(self) -> Any:
        """Float32 array `[k, p]` whose columns sum to `total`."""
        shares = expand.copy_shares(self.factor, self.width, self.shares)
        return shares * np.float32(self.total)

    def call(self, inputs: Any) -> Any:
        """Fold activations `[..., k p]` to `[..., p]`."""
        return expand.fold_copies(inputs, self.neuron_shares)

    def get_config(self) -> dict[str, Any]:
        """Configuration that `from_config` takes."""
        return {
            **super().get_config(),
            "factor": self.factor,
            "width": self.width,
            "shares": self.shares,
            "total": self.total,
        }

"""Choosing the next token from logits, in NumPy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: divides the logits before the softmax; 0 for the
            likeliest token every time. Defaults to 0.
        top_k: how many of the likeliest tokens are drawn from. Defaults to
            `None`: all of them.
        seed: seed of the draws. Defaults to 0.

    Raises:
        ValueError: if a value is out of range.

    Example:

    ```python
    from keras_grow.evaluation import Sampling

    Sampling(temperature=0.8, top_k=40, seed=1)
    ```
    """

    temperature: float = 0.0
    top_k: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < float("inf"):
            raise ValueError(
                "Expected `temperature` to be 0 or more. "
                f"Received: temperature={self.temperature!r}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(
                "Expected `top_k` to be positive or None. "
                f"Received: top_k={self.top_k!r}"
            )
        if self.seed < 0:
            raise ValueError(
                f"Expected `seed` to be 0 or more. Received: seed={self.seed!r}"
            )

    def choose(
        self, logits: NDArray[np.float32], rng: np.random.Generator
    ) -> int:
        """The id of the next token.

        Args:
            logits: float `[vocabulary]`.
            rng: random generator; not used at temperature 0.

        Returns:
            A token id.
        """
        if self.temperature == 0.0:
            return int(np.argmax(logits))
        candidates = np.arange(len(logits))
        if self.top_k is not None and self.top_k < len(logits):
            candidates = np.argpartition(logits, -self.top_k)[-self.top_k :]
        kept = logits[candidates].astype("float64")
        scaled = (kept - kept.max()) / self.temperature
        weights = np.exp(scaled)
        chosen = rng.choice(len(candidates), p=weights / weights.sum())
        return int(candidates[chosen])

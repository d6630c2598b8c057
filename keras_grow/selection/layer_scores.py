"""`LayerScores`: blocks ordered by importance, by any measure."""

import dataclasses
import json
import math
import os
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_grow.files import write_atomically
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import read_json
from keras_grow.files.checked_json import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = "keras_grow.layer_scores"
# What each ranking of this package needs besides the model.
COSTS = {
    "update": "a preliminary SFT run",
    "gradient": "a forward and a backward pass per batch",
    "signal_to_noise": "a singular value decomposition per kernel, no data",
    "evenly_spaced": "nothing",
    "last": "nothing",
}


@dataclass(frozen=True)
class LayerScores:
    """Transformer blocks with a score each, best first.

    Iterating yields the block indices, best first, so the object goes straight
    to `grow_model(lm, layers=scores.top(10))`.

    Args:
        blocks: block indices, best first.
        scores: the score of each of `blocks`, finite, in descending order.
        method: short name of the ranking, such as `"update"`.
        measured: what the scores are, in words.

    Raises:
        ValueError: if the fields do not describe a ranking.

    Example:
    ```python
    from keras_grow import LayerScores

    scores = LayerScores((2, 0, 1), (0.3, 0.2, 0.1), "update", "an example")
    assert list(scores.top(2)) == [2, 0]
    ```
    """

    blocks: tuple[int, ...]
    scores: tuple[float, ...]
    method: str
    measured: str

    def __post_init__(self) -> None:
        """Refuse anything that is not an order of distinct blocks."""
        if not all(type(b) is int and b >= 0 for b in self.blocks) or len(
            set(self.blocks)
        ) < len(self.blocks):
            raise ValueError(
                "Expected `blocks` to be distinct block indices, ints of 0 or "
                f"more. Received: blocks={show(self.blocks)}"
            )
        if not self.blocks or len(self.blocks) != len(self.scores):
            raise ValueError(
                "Expected one score for each block, and at least one block. "
                f"Received: {len(self.blocks)} blocks, "
                f"{len(self.scores)} scores"
            )
        if not all(
            type(s) is float and math.isfinite(s) for s in self.scores
        ) or list(self.scores) != sorted(self.scores, reverse=True):
            raise ValueError(
                "Expected `scores` to be finite floats in descending order. "
                f"Received: scores={show(self.scores)}. A score that is not "
                "finite means that the weights behind it diverged."
            )
        if not isinstance(self.method, str) or not isinstance(
            self.measured, str
        ):
            raise ValueError(
                "Expected `method` and `measured` to be strings. Received: "
                f"method={show(self.method)}, measured={show(self.measured)}"
            )

    @classmethod
    def ranked(
        cls, scores: Sequence[float], method: str, measured: str
    ) -> "LayerScores":
        """Rank blocks 0, 1, ... by `scores`; ties keep the lower block first.

        Args:
            scores: the score of block `i` at index `i`.
            method: short name of the ranking.
            measured: what the scores are, in words.

        Returns:
            All the blocks, best first.
        """
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return cls(
            tuple(order),
            tuple(float(scores[i]) for i in order),
            method,
            measured,
        )

    def __iter__(self) -> Iterator[int]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def top(self, n: int) -> "LayerScores":
        """The `n` best blocks.

        Args:
            n: how many, from 1 to `len(self)`.

        Raises:
            ValueError: if there are fewer.
        """
        n = check_int(n, "n", 1, len(self))
        return dataclasses.replace(
            self, blocks=self.blocks[:n], scores=self.scores[:n]
        )

    def __str__(self) -> str:
        lines = [f"{self.method}: {self.measured}"]
        if self.method in COSTS:
            lines.append(f"cost: {COSTS[self.method]}")
        lines.append("rank  block  score")
        for rank, (block, score) in enumerate(
            zip(self.blocks, self.scores, strict=True), start=1
        ):
            lines.append(f"{rank:>4}  {block:>5}  {score:.6g}")
        return "\n".join(lines)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw one bar per block, in the order of the blocks.

        Args:
            ax: matplotlib axes. Defaults to those of a new figure.

        Returns:
            The axes. Needs matplotlib (`pip install matplotlib`).
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(layout="constrained").subplots()
        ax.bar(self.blocks, self.scores)
        ax.set_xlabel("block")
        ax.set_ylabel(self.method)
        ax.set_title(self.measured, fontsize="small", wrap=True)
        return ax

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the scores to a JSON file, whole or not at all."""
        text = json.dumps(
            {"format": FORMAT, "version": 1, **dataclasses.asdict(self)},
            indent=2,
        )
        with write_atomically(path) as file:
            file.write(text + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LayerScores":
        """Read what `save` wrote.

        Raises:
            ValueError: if the file holds something else.
            OSError: if the file cannot be read.
        """
        what = "a file written by `LayerScores.save`"
        values = read_json(path, what)
        fields = [field.name for field in dataclasses.fields(cls)]
        with in_file(path):
            check_fields(values, what, ("format", "version", *fields))
            if values["format"] != FORMAT or values["version"] != 1:
                raise ValueError(
                    f"Expected {what}: format {FORMAT!r}, version 1. "
                    f"Received: format {show(values['format'])}, version "
                    f"{show(values['version'])}"
                )
            return cls(
                tuple(check_list(values["blocks"], "blocks")),
                tuple(check_list(values["scores"], "scores")),
                values["method"],
                values["measured"],
            )

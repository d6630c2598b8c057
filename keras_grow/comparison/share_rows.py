"""The losses of runs at shares of their change. Nothing here needs Keras."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_grow.comparison.layout import SHARES_FILE
from keras_grow.comparison.results import append_line
from keras_grow.files.checked_json import check_fields
from keras_grow.files.checked_json import check_float
from keras_grow.files.checked_json import check_int
from keras_grow.files.checked_json import check_list
from keras_grow.files.checked_json import check_text
from keras_grow.files.checked_json import in_file
from keras_grow.files.checked_json import parse_json

if TYPE_CHECKING:
    from keras_grow.comparison.scores import Loss

BASE = "base"
# A run, or the base; a seed; the share of its change that is kept.
Point = tuple[str, int, float]
_MOST = 1_000_000


@dataclass(frozen=True)
class Losses:
    """The loss in nats and the tokens of each of N examples, both `[N]`.

    A mean and its interval follow from them. A loss that was not a finite
    number is NaN.
    """

    losses: NDArray[np.float64]
    tokens: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Nats per token."""
        return float(self.losses.sum() / self.tokens.sum())


def read_shares(folder: Path) -> dict[Point, dict[str, Losses]]:
    """Read the losses of runs at shares of their change.

    An incomplete last line, of a write that was killed, is left out.
    """
    path = folder / SHARES_FILE
    found: dict[Point, dict[str, Losses]] = {}
    with in_file(path):
        for line in path.read_text("utf-8").splitlines():
            try:
                row = parse_json(line, "a row", _MOST * 100)
            except ValueError as error:
                if isinstance(error.__cause__, json.JSONDecodeError):
                    continue  # A write that was killed.
                raise
            check_fields(row, "a row", ("method", "seed", "share", "losses"))
            point = (
                check_text(row["method"], "method"),
                check_int(row["seed"], "seed", 0),
                check_float(row["share"], "share", 0.0),
            )
            found[point] = {
                check_text(name, "a score"): _losses(values, name)
                for name, values in dict(row["losses"]).items()
            }
    return found


def _losses(values: Any, name: str) -> Losses:
    check_fields(values, f"`{name}`", ("losses", "tokens"))
    losses, tokens = (
        [
            _number(value, f"{name}.{key}")
            for value in check_list(values[key], f"{name}.{key}", _MOST)
        ]
        for key in ("losses", "tokens")
    )
    if not losses or len(losses) != len(tokens):
        raise ValueError(
            f"Expected a loss and a number of tokens per example in `{name}`. "
            f"Received: {len(losses)} losses and {len(tokens)} numbers"
        )
    return Losses(np.array(losses), np.array(tokens))


def _number(value: Any, name: str) -> float:
    """A number; NaN for what was not finite, which old files write as such."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return math.nan
    return check_float(value, name)


def append_share(
    folder: Path, point: Point, found: "Mapping[str, Loss]"
) -> None:
    """Add the losses of a run at a share of its change.

    A loss that is not a finite number is None there.
    """
    method, seed, share = point
    row = {
        "method": method,
        "seed": seed,
        "share": share,
        "losses": {
            name: {
                "losses": [
                    round(loss, 4) if math.isfinite(loss) else None
                    for loss in result.losses
                ],
                "tokens": list(result.token_counts),
            }
            for name, result in found.items()
        },
    }
    append_line(folder / SHARES_FILE, row)

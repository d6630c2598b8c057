"""Axes that belong to what is measured, and not to the noise of the data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDE = 30.0  # Times the least value, from where on a ratio says more.


@dataclass(frozen=True)
class Axis:
    """From where to where an axis goes, and how.

    With `log` equal steps are equal ratios.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(
        cls,
        values: Sequence[float],
        low: float | None = None,
        high: float | None = None,
    ) -> "Axis":
        """The axis for values of a metric that may have a least and a most.

        It goes from `low` to `high` where both are known, so that a share is
        always drawn from 0 to 1; else from `low`, or with a margin about the
        values; logarithmic where values that begin above zero are far apart.
        """
        least, most = min(values), max(values)
        if low is not None and high is not None:
            return cls(min(low, least), max(high, most))
        if low is not None and low > 0 and most > _WIDE * max(least, low):
            return cls(min(low, least), most * 1.2, log=True)
        margin = 0.06 * (most - least) or abs(least) * 0.1 or 1.0
        below = least - margin if low is None else min(low, least)
        return cls(below, max(most, below) + margin)

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        ends = (self.low, value, self.high)
        low, at, high = map(math.log, ends) if self.log else ends
        return (at - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers between its ends, about four, as they are written."""
        if self.log:
            first = math.floor(math.log10(self.low))
            last = math.ceil(math.log10(self.high))
            steps = (1,) if last - first > 2 else (1, 2, 5)
            powers = range(first, last + 1)
            found = [n * 10.0**power for power in powers for n in steps]
            kept = [v for v in found if self.low <= v <= self.high]
            return [(value, f"{value:g}") for value in kept]
        rough = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(
            power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999
        )
        digits = min(max(0, -math.floor(math.log10(step) + 1e-9)), 6)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        values = [round(n * step, 12) for n in range(first, last + 1)]
        return [(value, f"{value:.{digits}f}") for value in values]

"""A histogram: how often a value was at most each of its bounds. Used on one event loop."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Seconds, for what is done while somebody waits: from half a millisecond to ten seconds.
QUICK_SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
# For what may wait for a worker: to the default queue time and beyond.
WAIT_SECONDS = (*QUICK_SECONDS, 30.0, 60.0, 120.0, 300.0, 600.0)
# For how long jobs run: a call lasts minutes.
RUN_SECONDS = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0)


class Histogram:
    """Counts values by the first bound that they do not exceed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        # one for each bound, and one for what is beyond the last
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Return each bound with how many values were at most that; the last bound is infinite."""
        total = 0
        rows: list[tuple[float, int]] = []
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows

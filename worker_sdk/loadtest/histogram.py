"""A histogram of whole numbers to three significant digits, small enough for one a second.

Log-linear, as HdrHistogram is: each power of two has 1024 buckets of one width, so a bucket is narrower
than a thousandth of its values, and numbers below 2048 are exact. Only buckets with something in them
are kept, so a second of one latency takes some hundred entries where a dense array takes 25,000; that,
and two packages less at a user's (hdrhistogram asks for pbr and setuptools), is why it is our own.

Here the numbers are microseconds. Merging is exact: the merged histogram is that of all samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

__all__ = ["Histogram"]

# Buckets in each power of two, and its logarithm.
_HALF = 1024
_HALF_BITS = 10


class Histogram:
    """Counts of samples by bucket. Samples below 0 count as 0."""

    __slots__ = ("count", "counts", "greatest", "least", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.least = 0
        self.greatest = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.as_list() == other.as_list()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}: {self.least} to {self.greatest}>"

    def record(self, value: int) -> None:
        """Count one sample."""
        if value < 2 * _HALF:
            value = max(value, 0)
            index = value
        else:
            shift = value.bit_length() - _HALF_BITS - 1
            index = (shift << _HALF_BITS) + (value >> shift)
        counts = self.counts
        counts[index] = counts.get(index, 0) + 1
        if value > self.greatest:
            self.greatest = value
        if value < self.least or not self.count:
            self.least = value
        self.count += 1
        self.total += value

    def merge(self, other: Histogram) -> None:
        """Add all samples of another one."""
        if not other.count:
            return
        self.least = min(self.least, other.least) if self.count else other.least
        self.greatest = max(self.greatest, other.greatest)
        self.count += other.count
        self.total += other.total
        counts = self.counts
        for index, times in other.counts.items():
            counts[index] = counts.get(index, 0) + times

    @property
    def mean(self) -> float:
        """The mean of all samples; 0 where there are none."""
        return self.total / self.count if self.count else 0.0

    def at(self, share: float) -> int:
        """The value that this share (0 to 1) of the samples does not exceed; 0 without samples.

        It is the upper end of the bucket of the exact percentile (nearest rank), so never below it,
        and by less than a thousandth above it.
        """
        wanted = max(1, math.ceil(share * self.count - 1e-9))
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return min(_upper_end(index), self.greatest)
        return self.greatest

    def curve(self) -> list[tuple[float, int]]:
        """The share of samples that do not exceed a value, and the value, for each bucket."""
        points = []
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            points.append((seen / self.count, min(_upper_end(index), self.greatest)))
        return points

    def as_list(self) -> list[int]:
        """The histogram as numbers: least, greatest, total, then pairs of bucket and count."""
        numbers = [self.least, self.greatest, self.total]
        for index in sorted(self.counts):
            numbers += (index, self.counts[index])
        return numbers

    @classmethod
    def from_list(cls, numbers: Sequence[int]) -> Histogram:
        """The histogram that `as_list` told."""
        histogram = cls()
        histogram.least, histogram.greatest, histogram.total = numbers[:3]
        histogram.counts = dict(zip(numbers[3::2], numbers[4::2], strict=True))
        histogram.count = sum(histogram.counts.values())
        return histogram

    @classmethod
    def merged(cls, histograms: Iterable[Histogram]) -> Histogram:
        """One histogram of all samples."""
        whole = cls()
        for histogram in histograms:
            whole.merge(histogram)
        return whole


def _upper_end(index: int) -> int:
    """The greatest value of a bucket."""
    if index < 2 * _HALF:
        return index
    shift = (index >> _HALF_BITS) - 1
    return ((index - (shift << _HALF_BITS) + 1) << shift) - 1

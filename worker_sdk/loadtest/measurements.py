"""All that a run has measured, second by second; put together from the reports of its processes.

Seconds are counted from the begin of the measuring: those of the warm-up are negative, and those of the
drain above the duration. Latencies go by the second in which the call was due, so a second is complete
only when its jobs are assigned. Nothing is decided here but one thing: whether the harness itself was
too slow (`is_saturated`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker_sdk.loadtest.histogram import Histogram
from worker_sdk.loadtest.tally import Count, Metric

__all__ = ["Look", "Measurements", "is_bottleneck"]

# A second tells of the harness and not of the server where one of its processes used so much of a core:
# then more could not have gone through it.
BUSY_CPU_MAX = 0.9
# Or where a tenth of its calls was made late, or of its reads done late, by at least this, and by such a
# part of the time to the assignment that a tenth of the jobs exceeded.
LATE_QUANTILE = 0.9
LATE_US_MIN = 5_000
LATE_PART_MIN = 0.5
# The harness was the bottleneck if it was so in so many seconds, and in more than this share of them.
SATURATED_SECONDS_MIN = 2
SATURATED_SHARE_MAX = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """One look at everything, once a second."""

    second: int
    waiting: int
    workers: int
    under_way: int
    backlog: int
    held: int
    # of the busiest process of ours, in cores; and of the latest, in milliseconds
    harness_cpu: float
    lag_ms: float
    # of all that runs on this machine, in cores
    machine_cpu: float
    # of the server, in cores, over so many seconds until now
    server_cpu: float | None = None
    server_cpu_over_seconds: float = 0.0
    server_rss_mib: float | None = None


def is_bottleneck(saturated_seconds: int, seconds: int) -> bool:
    """Was the harness it for too long? One bad second is anybody's."""
    return saturated_seconds >= SATURATED_SECONDS_MIN and (
        saturated_seconds > SATURATED_SHARE_MAX * seconds
    )


class Measurements:
    """Histograms and counts by second, and looks."""

    def __init__(self) -> None:
        self.metrics: dict[Metric, dict[int, Histogram]] = {metric: {} for metric in Metric}
        self.counts: dict[Count, defaultdict[int, int]] = {
            count: defaultdict(int) for count in Count
        }
        self.failures: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()
        self.looks: dict[int, Look] = {}
        # What was done to the server, and when.
        self.events: list[tuple[float, str]] = []

    def add(self, report: Mapping[str, Any]) -> None:
        """Add what a process has measured since its last report."""
        for name, by_second in report["metrics"].items():
            histograms = self.metrics[Metric(name)]
            for second, numbers in by_second.items():
                histogram = histograms.setdefault(int(second), Histogram())
                histogram.merge(Histogram.from_list(numbers))
        for name, by_second in report["counts"].items():
            counts = self.counts[Count(name)]
            for second, times in by_second.items():
                counts[int(second)] += times
        self.failures.update(report["failures"])
        self.sums.update(report["sums"])

    def histogram(self, metric: Metric, seconds: Iterable[int]) -> Histogram:
        """All samples of calls that were due in these seconds."""
        by_second = self.metrics[metric]
        return Histogram.merged(by_second[each] for each in seconds if each in by_second)

    def count(self, what: Count, seconds: Iterable[int] | None = None) -> int:
        """How often something happened, in these seconds or ever."""
        counts = self.counts[what]
        if seconds is None:
            return sum(counts.values())
        return sum(counts.get(each, 0) for each in seconds)

    def server_cpu_seconds(self, seconds: float) -> float | None:
        """The CPU of the server in the measured time, of so many seconds; None: nobody could look.

        Looks do not begin and end with it: the first one tells of the warm-up too, which is most of it
        in a run that is interrupted soon. So what they say of a second counts, for as many as were.
        """
        looks = [self.looks[each] for each in range(math.ceil(seconds)) if each in self.looks]
        over_seconds = sum(look.server_cpu_over_seconds for look in looks)
        if not over_seconds:
            return None
        used = sum((look.server_cpu or 0.0) * look.server_cpu_over_seconds for look in looks)
        return used / over_seconds * seconds

    def is_saturated(self, second: int) -> bool:
        """Was the harness the bottleneck in this second?"""
        look = self.looks.get(second)
        if look is not None and look.harness_cpu >= BUSY_CPU_MAX:
            return True
        own_us = self.own_delay_us([second], LATE_QUANTILE)
        assigned = self.metrics[Metric.ASSIGN].get(second)
        return (
            own_us >= LATE_US_MIN
            and assigned is not None
            and own_us >= LATE_PART_MIN * assigned.at(LATE_QUANTILE)
        )

    def own_delay_us(self, seconds: Iterable[int], quantile: float) -> int:
        """What the harness itself added to the latencies of these seconds: to its calls, or its reads."""
        seconds = list(seconds)
        return max(
            self.histogram(metric, seconds).at(quantile)
            for metric in (Metric.LATE, Metric.WORKER_LAG, Metric.CALLER_LAG)
        )

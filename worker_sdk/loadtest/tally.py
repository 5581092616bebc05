"""What one process has measured since its last report.

Latencies go by the second in which their call was due, counts by the second in which they happened;
seconds are counted from the begin of the measuring, so those of the warm-up are negative. Every sample
is told once. Latencies are in microseconds.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from enum import StrEnum
from typing import Any

from worker_sdk.loadtest.channel import pack_numbers
from worker_sdk.loadtest.histogram import Histogram

__all__ = ["Count", "Happening", "Metric", "Tally"]

_NS_PER_SECOND = 1_000_000_000
_NS_PER_US = 1000


class Metric(StrEnum):
    """What is measured as a time."""

    ACK = "ack"  # call due to acknowledged
    ASSIGN = "assign"  # call due to assignment with its worker
    RUNNING = "running"  # call due to the receipt that the job runs
    END = "end"  # the receipt that it runs to the receipt that it ended, less its own length
    LATE = "late"  # call due to call made, with a connection at hand: the harness's own
    # How late a process reads what comes at any moment, which is the harness's own, too.
    WORKER_LAG = "worker_lag"
    CALLER_LAG = "caller_lag"
    RECONNECT = "reconnect"  # socket lost to registered again
    CLAIM = "claim"  # registered again to the last verdict over its jobs


class Count(StrEnum):
    """What is counted in the second in which it happens."""

    DUE = "due"  # calls that were to be made; counted when they are due
    CALLED = "called"
    ACKNOWLEDGED = "acknowledged"
    ERRORS = "errors"
    NOT_MADE = "not_made"  # calls that found the backlog full
    ASSIGNED = "assigned"
    ENDED = "ended"
    DECLINED = "declined"  # offers that our workers declined or left without an answer


class Happening(StrEnum):
    """What happens to single jobs, told by their numbers."""

    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"  # three numbers each: job, epoch, worker
    ENDED = "ended"  # confirmed
    # by a worker that was killed before its receipt came, or that learns of the end by a verdict
    END_TOLD = "end_told"
    HELD = "held"  # with its worker at the end


class Tally:
    """Counts and histograms of one process."""

    def __init__(self) -> None:
        # Nobody measures before the begin is known.
        self.begin_ns = 0
        self._metrics: dict[Metric, dict[int, Histogram]] = {metric: {} for metric in Metric}
        self._counts: dict[Count, defaultdict[int, int]] = {
            count: defaultdict(int) for count in Count
        }
        self._jobs: dict[Happening, array[int]] = {kind: array("I") for kind in Happening}
        # Why calls failed, and how often.
        self._failures: defaultdict[str, int] = defaultdict(int)
        # Single numbers by name that are only ever added up.
        self.sums: defaultdict[str, int] = defaultdict(int)

    def time(self, metric: Metric, due_ns: int, span_ns: int) -> None:
        """A latency of a call that was due then."""
        second = (due_ns - self.begin_ns) // _NS_PER_SECOND
        by_second = self._metrics[metric]
        histogram = by_second.get(second)
        if histogram is None:
            histogram = by_second[second] = Histogram()
        histogram.record(span_ns // _NS_PER_US)

    def count(self, what: Count, at_ns: int, times: int = 1) -> None:
        """Something happened then."""
        self._counts[what][(at_ns - self.begin_ns) // _NS_PER_SECOND] += times

    def job(self, what: Happening, *numbers: int) -> None:
        """Something happened to a job."""
        self._jobs[what].extend(numbers)

    def failed(self, why: str) -> None:
        """A call failed."""
        self._failures[why] += 1

    def take(self) -> dict[str, Any]:
        """All since the last time, as a report has it."""
        report = {
            "metrics": {
                metric: {str(second): each.as_list() for second, each in by_second.items()}
                for metric, by_second in self._metrics.items()
                if by_second
            },
            "counts": {
                count: {str(second): times for second, times in by_second.items()}
                for count, by_second in self._counts.items()
                if by_second
            },
            "jobs": {kind: pack_numbers(told) for kind, told in self._jobs.items() if told},
            "failures": dict(self._failures),
            "sums": dict(self.sums),
        }
        for by_second in self._metrics.values():
            by_second.clear()
        for counts in self._counts.values():
            counts.clear()
        self._jobs = {kind: array("I") for kind in Happening}
        self._failures.clear()
        self.sums.clear()
        return report

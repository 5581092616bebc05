"""The numbers of a run by name: what reports tell and limits are put on.

A figure that could not be measured is None, with the reason beside it: LiveKit's own server has none of
it ("not on stock"), or there was nothing to measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker_sdk.loadtest.tally import Metric

__all__ = ["FIGURES", "NOT_ON_STOCK", "Figure", "Figures", "latency_names", "number_text"]

NOT_ON_STOCK = "not on stock"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a run has."""

    name: str
    help: str
    # Counted, and so right even where the harness was too slow for its own clock.
    is_count: bool = False


@dataclass(slots=True)
class Figures:
    """The figures of one run. `reasons` says why a value is None."""

    values: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, value: float | None, reason: str = "not measured") -> None:
        """Set one figure."""
        self.values[name] = value
        if value is None:
            self.reasons[name] = reason


_SHARES: Mapping[str, float] = {
    "p50_ms": 0.5,
    "p90_ms": 0.9,
    "p95_ms": 0.95,
    "p99_ms": 0.99,
    "p999_ms": 0.999,
}
# The first has no prefix: it is what one means by the latency.
_METRICS: Mapping[Metric, tuple[str, str]] = {
    Metric.ASSIGN: ("", "from when the call was due to the assignment with its worker"),
    Metric.ACK: ("ack_", "from when the call was due to its acknowledgement"),
    Metric.RUNNING: ("running_", "from when the call was due to the receipt that the job runs"),
    Metric.END: ("end_", "from telling the job's end to the receipt of it"),
    Metric.RECONNECT: ("reconnect_", "from a lost socket to its worker being registered again"),
    Metric.CLAIM: ("claim_", "from being registered again to the last verdict over its jobs"),
}


def latency_names(metric: Metric) -> dict[str, float | None]:
    """The names of a metric's figures, with the share of samples each is about; None: the mean."""
    prefix = _METRICS[metric][0]
    names: dict[str, float | None] = {f"{prefix}{name}": share for name, share in _SHARES.items()}
    return {**names, f"{prefix}max_ms": 1.0, f"{prefix}mean_ms": None}


def number_text(value: float) -> str:
    """A measured number for people: four digits, or all before the point where there are more."""
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _latencies() -> Sequence[Figure]:
    found = []
    for metric, (_, words) in _METRICS.items():
        for name, share in latency_names(metric).items():
            which = "mean" if share is None else "longest" if share == 1.0 else f"{share * 100:g} %"
            found.append(Figure(name, f"{which}, {words}; milliseconds"))
    return found


FIGURES: Sequence[Figure] = (
    Figure(
        "lost",
        "calls acknowledged whose job nobody has and the server does not know",
        is_count=True,
    ),
    Figure(
        "overdue",
        "jobs that the server still had queued, or running elsewhere, at the end",
        is_count=True,
    ),
    Figure(
        "failed", "jobs that had failed or were cancelled by the server's record", is_count=True
    ),
    Figure("doubled", "jobs with two holders at one epoch, or ended twice", is_count=True),
    Figure("errors", "calls that failed or had no answer", is_count=True),
    Figure("error_share", "errors / calls made; 0 to 1", is_count=True),
    Figure("calls", "calls that were due while it was measured", is_count=True),
    Figure("acknowledged", "calls that the server has acknowledged", is_count=True),
    Figure("assigned", "assignments that workers were given", is_count=True),
    Figure("ended", "jobs that ended", is_count=True),
    Figure("reruns", "jobs that were given to a worker more than once", is_count=True),
    Figure("declined", "offers that workers declined or left without an answer", is_count=True),
    Figure(
        "not_made",
        "calls that were due and not made: too many waited for a connection, or to the end",
        is_count=True,
    ),
    Figure("unfinished", "jobs that their workers still ran at the end", is_count=True),
    Figure("rate_wanted", "calls a second that were due"),
    Figure("rate", "calls a second that were acknowledged"),
    Figure("rate_share", "rate / rate_wanted; 0 to 1"),
    Figure("jobs_per_second", "jobs that ended a second"),
    Figure("rate_held", "the highest rate of a ramp that held"),
    Figure("waiting_max", "most calls acknowledged and not assigned, at one look"),
    Figure("workers_min", "fewest workers connected, at one look"),
    *_latencies(),
    Figure("server_cpu_cores", "the server's CPU, mean; 1: one core"),
    Figure("server_cpu_us_per_job", "the server's CPU by jobs ended; microseconds"),
    Figure("server_rss_mib", "the server's memory, greatest (RSS); MiB"),
    Figure("server_rss_growth_mib", "memory of the last tenth of the time over the first; MiB"),
    Figure("harness_cpu_cores", "the busiest process of the harness, mean; 1: one core"),
    Figure("machine_cpu_cores", "all of the harness's machine, mean; 1: one core"),
    Figure("harness_late_p99_ms", "how late the harness made calls, with a connection at hand"),
    Figure("harness_lag_p99_ms", "how late the harness's workers, or callers, read what came"),
    Figure("harness_saturated_share", "seconds in which the harness was the bottleneck; 0 to 1"),
)

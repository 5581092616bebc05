"""The results of a run: its figures, what they say about the limits, and its curves.

`measured_figures` is where each figure is computed. Those of latencies and rates are of the calls that
were due while it was measured (of a ramp: in the last step that held); those of counts are of the whole
run, warm-up and drain included, because a job that is lost is lost.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from worker_sdk.loadtest.figures import FIGURES, NOT_ON_STOCK, Figures, latency_names
from worker_sdk.loadtest.histogram import Histogram
from worker_sdk.loadtest.limits import DEFAULT_LIMITS, Judgement, judge, parse_limit
from worker_sdk.loadtest.profile import Profile, Shape
from worker_sdk.loadtest.tally import Count, Metric

if TYPE_CHECKING:
    from worker_sdk.loadtest.calling import Step
    from worker_sdk.loadtest.job_book import JobBook
    from worker_sdk.loadtest.measurements import Measurements
    from worker_sdk.loadtest.server_record import ServerRecord

__all__ = [
    "EXIT_BROKEN",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_SATURATED",
    "Results",
    "Row",
    "fraction_to_ms",
    "measured_figures",
]

EXIT_OK, EXIT_BROKEN, EXIT_SATURATED, EXIT_INTERRUPTED = 0, 1, 3, 130

_EXTENSION_METRICS = (Metric.RUNNING, Metric.END, Metric.CLAIM)
# Of the harness and not of the server.
_OWN_METRICS = (Metric.LATE, Metric.WORKER_LAG, Metric.CALLER_LAG)
_US_PER_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Row:
    """One second of a run, for plots. Times in milliseconds; None: there was none."""

    second: int
    wanted: int
    acknowledged: int
    assigned: int
    ended: int
    errors: int
    p50_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    waiting: int | None
    workers: int | None
    harness_cpu: float | None
    machine_cpu: float | None
    server_cpu: float | None
    server_rss_mib: float | None
    is_saturated: bool


@dataclass(frozen=True)
class Results:
    """All that a report tells."""

    profile: Profile
    url: str
    server: str
    is_stock: bool
    server_process: str
    begun_at: str
    seconds: float
    is_interrupted: bool
    figures: Figures
    judgements: Sequence[Judgement]
    # What one should know before one believes the figures.
    notes: Sequence[str]
    is_saturated: bool
    rows: Sequence[Row]
    curves: dict[Metric, Histogram]
    steps: Sequence[Step]
    events: Sequence[tuple[float, str]]
    failures: dict[str, int]
    machine: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0, or why not: what is counted first, then whether times can be believed at all."""
        if self.is_interrupted:
            return EXIT_INTERRUPTED
        broken = [each for each in self.judgements if each.is_failure]
        if any(each.limit.is_on_count for each in broken) or not self.figures.values["calls"]:
            return EXIT_BROKEN
        if self.is_saturated:
            return EXIT_SATURATED
        return EXIT_BROKEN if broken else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "profile": self.profile.as_json(),
            "url": self.url,
            "server": self.server,
            "is_stock": self.is_stock,
            "server_process": self.server_process,
            "begun_at": self.begun_at,
            "seconds": round(self.seconds, 3),
            "is_interrupted": self.is_interrupted,
            "exit_code": self.exit_code,
            "figures": self.figures.values,
            "absent": self.figures.reasons,
            "limits": [
                {
                    "limit": str(each.limit),
                    "verdict": each.verdict.value,
                    "value": each.value,
                }
                for each in self.judgements
            ],
            "is_harness_saturated": self.is_saturated,
            "notes": list(self.notes),
            "failures": self.failures,
            "steps": [asdict(step) for step in self.steps],
            "events": [{"second": round(second, 3), "what": what} for second, what in self.events],
            "seconds_measured": [asdict(row) for row in self.rows],
            # Least, greatest and total in microseconds, then bucket and count in turns.
            "histograms_us": {
                metric.value: histogram.as_list() for metric, histogram in self.curves.items()
            },
            "machine": self.machine,
        }


def fraction_to_ms(histogram: Histogram, share: float | None) -> float:
    """One figure of a latency in milliseconds; None: the mean."""
    return (histogram.mean if share is None else histogram.at(share)) / _US_PER_MS


def measured_figures(
    profile: Profile,
    measured: Measurements,
    book: JobBook,
    steps: Sequence[Step],
    seconds: float,
    *,
    is_stock: bool,
    cpu_seconds: float | None,
    record: ServerRecord | None = None,
) -> tuple[Figures, dict[Metric, Histogram]]:
    """All figures, and the histograms that they are of. `record`: of the book's unaccounted jobs."""
    figures = Figures()
    whole = range(max(1, math.ceil(seconds)))
    held = [step for step in steps if not step.broken]
    window, window_seconds = whole, max(seconds, 1e-3)
    if profile.shape is Shape.RAMP and steps:
        step = held[-1] if held else steps[0]
        window = seconds_of(step)
        window_seconds = float(len(window))

    calls_made = measured.count(Count.CALLED)
    errors = measured.count(Count.ERRORS)
    unaccounted = len(book.unaccounted(is_stock=is_stock))
    figures.put("lost", unaccounted - (record.known if record else 0))
    absent = None if is_stock else 0
    figures.put("overdue", record.queued + record.running if record else absent, NOT_ON_STOCK)
    figures.put("failed", record.failed if record else absent, NOT_ON_STOCK)
    figures.put("doubled", book.doubled)
    figures.put("errors", errors)
    figures.put("error_share", errors / max(calls_made, errors) if errors else 0.0)
    figures.put("calls", measured.count(Count.DUE, whole))
    figures.put("acknowledged", book.acknowledged)
    figures.put("assigned", measured.count(Count.ASSIGNED))
    figures.put("ended", book.ended)
    figures.put("reruns", None if is_stock else book.reruns, NOT_ON_STOCK)
    figures.put("declined", measured.count(Count.DECLINED))
    figures.put("not_made", measured.count(Count.NOT_MADE))
    figures.put("unfinished", book.unfinished())

    wanted = measured.count(Count.DUE, window) / window_seconds
    rate = measured.count(Count.ACKNOWLEDGED, window) / window_seconds
    figures.put("rate_wanted", wanted)
    figures.put("rate", rate)
    figures.put("rate_share", min(1.0, rate / wanted) if wanted else None)
    figures.put("jobs_per_second", measured.count(Count.ENDED, window) / window_seconds)
    if profile.shape is Shape.RAMP:
        figures.put("rate_held", held[-1].rate if held else 0.0)
    else:
        figures.put("rate_held", None, "no ramp")
    looks = [measured.looks[each] for each in whole if each in measured.looks]
    figures.put("waiting_max", max((look.waiting for look in looks), default=None))
    figures.put("workers_min", min((look.workers for look in looks), default=None))

    curves: dict[Metric, Histogram] = {}
    for metric in Metric:
        if metric in _OWN_METRICS:
            continue
        # Storms and claims are few, and not of calls: those of the last second end in the drain.
        is_of_calls = metric not in (Metric.RECONNECT, Metric.CLAIM)
        histogram = measured.histogram(metric, window if is_of_calls else measured.metrics[metric])
        curves[metric] = histogram
        for name, share in latency_names(metric).items():
            if histogram.count:
                figures.put(name, fraction_to_ms(histogram, share))
            elif is_stock and metric in _EXTENSION_METRICS:
                figures.put(name, None, NOT_ON_STOCK)
            else:
                figures.put(name, None, "not measured" if is_of_calls else "no socket was lost")

    cpu = [look.server_cpu for look in looks if look.server_cpu is not None]
    ended = measured.count(Count.ENDED, whole)
    figures.put("server_cpu_cores", fmean(cpu) if cpu else None)
    per_job = None if cpu_seconds is None or not ended else 1e6 * cpu_seconds / ended
    figures.put("server_cpu_us_per_job", per_job)
    memory = [look.server_rss_mib for look in looks if look.server_rss_mib is not None]
    figures.put("server_rss_mib", max(memory, default=None))
    figures.put("server_rss_growth_mib", _growth(memory))
    figures.put("harness_cpu_cores", fmean(look.harness_cpu for look in looks) if looks else None)
    figures.put("machine_cpu_cores", fmean(look.machine_cpu for look in looks) if looks else None)
    for name, metrics in (
        ("harness_late_p99_ms", [Metric.LATE]),
        ("harness_lag_p99_ms", [Metric.WORKER_LAG, Metric.CALLER_LAG]),
    ):
        own = [measured.histogram(metric, window) for metric in metrics]
        p99s_ms = [fraction_to_ms(each, 0.99) for each in own if each.count]
        figures.put(name, max(p99s_ms, default=None))
    saturated = sum(measured.is_saturated(each) for each in window)
    figures.put("harness_saturated_share", saturated / len(window))
    assert set(figures.values) == {figure.name for figure in FIGURES}
    return figures, curves


def seconds_of(step: Step) -> range:
    """The whole seconds of a step, without the first, in which the one before it still sounds."""
    first, last = round(step.from_second), round(step.until_second)
    return range(min(first + 1, last - 1), last)


def limits_of(profile: Profile, figures: Figures) -> list[Judgement]:
    """The limits that are always there, unless the profile sets its own on that figure, and its own."""
    own = [parse_limit(text) for text in profile.fail_if]
    named = {limit.name for limit in own}
    defaults = [limit for limit in DEFAULT_LIMITS if limit.name not in named]
    return judge([*defaults, *own], figures)


def rows_of(measured: Measurements, seconds: Iterable[int], measured_seconds: float) -> list[Row]:
    """What plots show, a row for each second; `measured_seconds` of them count."""
    rows = []
    for second in seconds:
        histogram = measured.metrics[Metric.ASSIGN].get(second)
        look = measured.looks.get(second)

        def count(what: Count, second: int = second) -> int:
            return measured.counts[what].get(second, 0)

        def at(share: float, histogram: Histogram | None = histogram) -> float | None:
            return None if histogram is None else fraction_to_ms(histogram, share)

        rows.append(
            Row(
                second=second,
                wanted=count(Count.DUE),
                acknowledged=count(Count.ACKNOWLEDGED),
                assigned=count(Count.ASSIGNED),
                ended=count(Count.ENDED),
                errors=count(Count.ERRORS),
                p50_ms=at(0.5),
                p90_ms=at(0.9),
                p99_ms=at(0.99),
                max_ms=at(1.0),
                waiting=look.waiting if look else None,
                workers=look.workers if look else None,
                harness_cpu=look.harness_cpu if look else None,
                machine_cpu=look.machine_cpu if look else None,
                server_cpu=look.server_cpu if look else None,
                server_rss_mib=look.server_rss_mib if look else None,
                is_saturated=0 <= second < measured_seconds and measured.is_saturated(second),
            )
        )
    return rows


def _growth(memory: Sequence[float]) -> float | None:
    """The mean of the last tenth over that of the first; None: too few looks."""
    tenth = len(memory) // 10
    if tenth < 1:
        return None
    return fmean(memory[-tenth:]) - fmean(memory[:tenth])

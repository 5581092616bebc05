"""Runs as they were measured, put together by hand for the tests of figures and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from worker_sdk.loadtest.calling import Step
from worker_sdk.loadtest.job_book import JobBook
from worker_sdk.loadtest.measurements import Look, Measurements
from worker_sdk.loadtest.profile import Profile
from worker_sdk.loadtest.results import Results, limits_of, measured_figures, rows_of
from worker_sdk.loadtest.server_record import ServerRecord
from worker_sdk.loadtest.tally import Count, Happening, Metric, Tally

NS = 1_000_000_000
MS = 1_000_000
SECONDS = 10
CALLS_PER_SECOND = 20
LOOK = Look(
    second=0,
    waiting=3,
    workers=5,
    under_way=0,
    backlog=0,
    held=2,
    harness_cpu=0.1,
    lag_ms=1.0,
    machine_cpu=1.0,
    server_cpu=0.5,
    server_rss_mib=80.0,
)


def measured_run(
    *,
    late_ms: float = 0.0,
    worker_lag_ms: float = 0.0,
    caller_lag_ms: float = 0.0,
    slower_ms: float = 0.0,
    errors: int = 0,
    **look: Any,
) -> Measurements:
    """Ten seconds and one of warm-up; a call of second n was assigned after n + 1 ms."""
    tally = Tally()
    measured = Measurements()
    for second in range(-1, SECONDS):
        for number in range(CALLS_PER_SECOND):
            due_ns = second * NS + number * NS // CALLS_PER_SECOND
            latency_ns = (second + 1) * MS if second >= 0 else 5 * NS
            latency_ns += round(slower_ms * MS)
            for count in (Count.DUE, Count.CALLED, Count.ACKNOWLEDGED, Count.ASSIGNED, Count.ENDED):
                tally.count(count, due_ns)
            for metric in (Metric.ACK, Metric.ASSIGN, Metric.RUNNING, Metric.END):
                tally.time(metric, due_ns, latency_ns)
            for metric, own_ms in (
                (Metric.LATE, late_ms),
                (Metric.WORKER_LAG, worker_lag_ms),
                (Metric.CALLER_LAG, caller_lag_ms),
            ):
                tally.time(metric, due_ns, round(own_ms * MS))
        measured.looks[second] = replace(LOOK, second=second, **look)
    for _ in range(errors):
        tally.count(Count.ERRORS, 0)
        tally.failed("HTTP 503: <busy>")
    measured.add(tally.take())
    return measured


def good_book(jobs: int = CALLS_PER_SECOND * (SECONDS + 1)) -> JobBook:
    """All jobs acknowledged and ended."""
    book = JobBook()
    book.take(Happening.ACKNOWLEDGED, range(jobs))
    book.take(Happening.ASSIGNED, [part for number in range(jobs) for part in (number, 1, 7)])
    book.take(Happening.ENDED, range(jobs))
    return book


def results_of(
    measured: Measurements,
    book: JobBook,
    profile: Profile | None = None,
    *,
    steps: Sequence[Step] = (),
    is_stock: bool = False,
    is_saturated: bool = False,
    is_interrupted: bool = False,
    events: Sequence[tuple[float, str]] = (),
    record: ServerRecord | None = None,
) -> Results:
    """The results of a run."""
    profile = profile or Profile(duration_seconds=SECONDS, warm_up_seconds=1.0)
    figures, curves = measured_figures(
        profile,
        measured,
        book,
        steps,
        SECONDS,
        is_stock=is_stock,
        cpu_seconds=4.0,
        record=record,
    )
    return Results(
        profile=profile,
        url="http://127.0.0.1:7880",
        server="Callboard 0.1.0",
        is_stock=is_stock,
        server_process="callboard (pid 7)",
        begun_at="2026-11-22T01:00:00Z",
        seconds=SECONDS,
        is_interrupted=is_interrupted,
        figures=figures,
        judgements=limits_of(profile, figures),
        notes=["the machine was full"],
        is_saturated=is_saturated,
        rows=rows_of(measured, range(-1, SECONDS + 1), SECONDS),
        curves=curves,
        steps=steps,
        events=events,
        failures=dict(measured.failures),
        machine={"cores": "2"},
    )

"""Figures, verdicts and exit codes of runs that were put together by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.worker_sdk.loadtest.measured_runs import (
    CALLS_PER_SECOND,
    MS,
    NS,
    SECONDS,
    good_book,
    measured_run,
    results_of,
)
from worker_sdk.loadtest.calling import Step
from worker_sdk.loadtest.figures import FIGURES, NOT_ON_STOCK
from worker_sdk.loadtest.job_book import JobBook
from worker_sdk.loadtest.limits import Verdict
from worker_sdk.loadtest.profile import Profile, Shape
from worker_sdk.loadtest.server_record import ServerRecord
from worker_sdk.loadtest.tally import Happening, Metric, Tally


def profile(*limits: str, shape: Shape = Shape.RATE) -> Profile:
    return Profile(duration_seconds=SECONDS, warm_up_seconds=1.0, shape=shape, fail_if=limits)


def lossy_book() -> JobBook:
    book = good_book()
    book.take(Happening.ACKNOWLEDGED, [900, 901])
    return book


def test_latencies_are_of_the_time_that_is_measured_and_not_of_the_warm_up() -> None:
    values = results_of(measured_run(), good_book()).figures.values
    assert values["max_ms"] == 10.0  # the warm-up's took 5 s
    assert values["p50_ms"] == pytest.approx(5.0, rel=1e-3)
    assert values["mean_ms"] == pytest.approx(5.5)


def test_rates_are_of_the_measured_seconds_and_counts_of_the_whole_run() -> None:
    values = results_of(measured_run(), good_book()).figures.values
    assert values["rate_wanted"] == values["rate"] == values["jobs_per_second"] == CALLS_PER_SECOND
    assert values["calls"] == SECONDS * CALLS_PER_SECOND
    assert values["acknowledged"] == values["ended"] == (SECONDS + 1) * CALLS_PER_SECOND


def test_the_servers_cpu_is_divided_by_the_jobs_that_it_was_for() -> None:
    values = results_of(measured_run(), good_book()).figures.values
    assert values["server_cpu_us_per_job"] == pytest.approx(4.0 / 200 * 1e6)
    assert values["server_cpu_cores"] == pytest.approx(0.5)


def test_who_is_back_only_after_the_last_call_counts_among_those_who_were_cut_off() -> None:
    measured, tally = measured_run(), Tally()
    for metric in (Metric.RECONNECT, Metric.CLAIM):
        tally.time(metric, (SECONDS + 2) * NS, 7 * MS)
    measured.add(tally.take())
    values = results_of(measured, good_book()).figures.values
    assert values["reconnect_max_ms"] == values["claim_max_ms"] == 7.0


def test_every_figure_that_is_told_of_is_there_or_has_a_reason() -> None:
    figures = results_of(measured_run(), good_book()).figures
    for figure in FIGURES:
        assert (figures.values[figure.name] is None) is (figure.name in figures.reasons)


def test_on_stock_what_it_cannot_say_is_not_a_failure() -> None:
    measured = measured_run()
    for metric in ("running", "end"):
        measured.metrics[next(m for m in measured.metrics if m == metric)].clear()
    results = results_of(measured, good_book(), profile("running_p99_ms>1"), is_stock=True)
    assert results.figures.reasons["running_p99_ms"] == NOT_ON_STOCK
    assert results.exit_code == 0


@pytest.mark.parametrize("limit", ["reruns>0", "reruns<1"])
def test_on_stock_where_no_job_goes_on_with_another_worker_reruns_are_not_judged(
    limit: str,
) -> None:
    results = results_of(measured_run(), good_book(), profile(limit), is_stock=True)
    (verdict,) = [each.verdict for each in results.judgements if each.limit.name == "reruns"]
    assert verdict is Verdict.NOT_ON_STOCK


@pytest.mark.parametrize(
    ("limits", "code"), [((), 0), (("p99_ms>50",), 0), (("p99_ms>9",), 1), (("ended<1000",), 1)]
)
def test_a_broken_limit_is_exit_code_1(limits: tuple[str, ...], code: int) -> None:
    assert results_of(measured_run(), good_book(), profile(*limits)).exit_code == code


def test_a_lost_job_fails_without_being_asked() -> None:
    results = results_of(measured_run(), lossy_book())
    assert results.figures.values["lost"] == 2
    assert results.exit_code == 1


@pytest.mark.parametrize(
    ("record", "broken", "lost"),
    [
        (ServerRecord(unknown=2), ["lost"], 2),
        (ServerRecord(queued=1, running=1), ["overdue"], 0),
        (ServerRecord(failed=1, unknown=1), ["lost", "failed"], 1),
        (ServerRecord(ended=2), [], 0),
        (ServerRecord(queued=1, unasked=1), ["lost", "overdue"], 1),
    ],
    ids=str,
)
def test_what_nobody_has_is_lost_only_where_the_server_does_not_know_it_either(
    record: ServerRecord, broken: list[str], lost: int
) -> None:
    results = results_of(measured_run(), lossy_book(), record=record)
    assert results.figures.values["lost"] == lost
    assert [each.limit.name for each in results.judgements if each.is_failure] == broken
    assert results.exit_code == (1 if broken else 0)


def test_a_limit_of_ones_own_takes_the_place_of_the_default() -> None:
    results = results_of(measured_run(), lossy_book(), profile("lost>2"))
    limits = [str(each.limit) for each in results.judgements]
    assert limits == ["overdue>0", "failed>0", "doubled>0", "lost>2"]
    assert results.exit_code == 0


@pytest.mark.parametrize(
    ("limits", "code"),
    [((), 3), (("p99_ms>9",), 3), (("ended<1000",), 1)],
    ids=["no limit", "a limit on a time, which is the harness's", "a limit on a count"],
)
def test_a_harness_that_was_the_bottleneck_is_exit_code_3(
    limits: tuple[str, ...], code: int
) -> None:
    results = results_of(measured_run(), good_book(), profile(*limits), is_saturated=True)
    assert results.exit_code == code


def test_an_interrupted_run_is_exit_code_130() -> None:
    assert results_of(measured_run(), good_book(), is_interrupted=True).exit_code == 130


def test_a_run_in_which_nothing_was_due_has_failed() -> None:
    measured = measured_run()
    for counts in measured.counts.values():
        counts.clear()
    assert results_of(measured, good_book()).exit_code == 1


@pytest.mark.parametrize(
    ("what", "share"),
    [
        ({}, 0.0),
        ({"harness_cpu": 0.95}, 1.0),
        ({"late_ms": 6.0}, 1.0),
        ({"worker_lag_ms": 6.0}, 1.0),
        ({"caller_lag_ms": 6.0}, 1.0),
        # More than half of the time to the assignment, and yet next to nothing.
        ({"late_ms": 4.0, "worker_lag_ms": 4.0, "harness_cpu": 0.5}, 0.0),
        # A server that takes long is not the harness.
        ({"late_ms": 80.0, "slower_ms": 1000.0}, 0.0),
    ],
    ids=str,
)
def test_the_harness_is_the_bottleneck_where_it_is_busy_or_late_for_the_most_part(
    what: dict[str, Any], share: float
) -> None:
    measured = measured_run(**what)
    values = results_of(measured, good_book()).figures.values
    assert values["harness_saturated_share"] == share


def test_the_figures_of_a_ramp_are_of_the_last_step_that_held() -> None:
    steps = [
        Step(10.0, 0.0, 4.0, broken=""),
        Step(20.0, 4.0, 8.0, broken=""),
        Step(40.0, 8.0, 10.0, broken="p99 was 900 ms"),
    ]
    results = results_of(measured_run(), good_book(), profile(shape=Shape.RAMP), steps=steps)
    values = results.figures.values
    assert values["rate_held"] == 20.0
    # Of seconds 5 to 7: the first of a step is left out.
    assert values["max_ms"] == 8.0
    assert values["p50_ms"] == pytest.approx(7.0, rel=1e-3)
    assert values["lost"] == 0


def test_a_ramp_whose_first_step_broke_held_nothing() -> None:
    steps = [Step(10.0, 0.0, 4.0, broken="p99 was 900 ms")]
    results = results_of(measured_run(), good_book(), profile(shape=Shape.RAMP), steps=steps)
    assert results.figures.values["rate_held"] == 0.0

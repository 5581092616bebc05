"""When a worker tells its status."""

from __future__ import annotations

import pytest

from worker_sdk.reporting import StatusSchedule, WorkerSituation

IDLE = WorkerSituation(accepts_jobs=True, active_count=0, load=0.0)


@pytest.fixture
def schedule() -> StatusSchedule:
    """A schedule on whose connection `IDLE` was told at 100 s."""
    schedule = StatusSchedule()
    schedule.told(IDLE, 100.0)
    return schedule


def test_the_first_status_of_a_connection_is_due_at_once() -> None:
    assert StatusSchedule().due_at(IDLE) <= 0.0


def test_an_unchanged_status_is_told_every_two_and_a_half_seconds(schedule: StatusSchedule) -> None:
    assert schedule.due_at(IDLE) == 102.5


def test_another_job_count_is_told_at_once_but_not_more_than_ten_times_a_second(
    schedule: StatusSchedule,
) -> None:
    one = WorkerSituation(accepts_jobs=True, active_count=1, load=0.0)
    assert schedule.due_at(one) == pytest.approx(100.1)


def test_a_worker_that_becomes_full_says_so_without_any_delay(schedule: StatusSchedule) -> None:
    full = WorkerSituation(accepts_jobs=False, active_count=0, load=0.0)
    assert schedule.due_at(full) <= 100.0


def test_a_small_change_of_load_waits_for_the_next_status(schedule: StatusSchedule) -> None:
    busier = WorkerSituation(accepts_jobs=True, active_count=0, load=0.05)
    assert schedule.due_at(busier) == 102.5


def test_a_large_change_of_load_is_told_at_once(schedule: StatusSchedule) -> None:
    busier = WorkerSituation(accepts_jobs=True, active_count=0, load=0.5)
    assert schedule.due_at(busier) == pytest.approx(100.1)

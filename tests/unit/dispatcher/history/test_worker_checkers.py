"""What workers are promised, and what is promised about them: grace time, capacity, offers."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import MILLISECOND, SECOND
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import MissingRecords, Verdict, WorkerRecord
from dispatcher.store.contract import EventRow
from tests.unit.dispatcher.history.builders import (
    BEGIN,
    JOB,
    STEP,
    Log,
    Store,
    broken,
    judge,
    line,
    shown,
)

GRACES = Store(grace_seconds={"AW_1": 20}, ended=frozenset({JOB}))


@pytest.fixture
def log() -> Log:
    """A job that runs, in a log in which much happens."""
    log = Log()
    log.created()
    log.assigned()
    log.started()
    log.busy(2)
    return log


def held_for(log: Log, nanoseconds: int) -> tuple[EventRow, EventRow]:
    """Let its worker be lost, and the job go to others after so long, in which much happens."""
    orphaned = log.orphaned()
    if nanoseconds > SECOND:
        log.busy(nanoseconds / SECOND - 0.5)
    log.now = orphaned.at + nanoseconds - STEP
    return orphaned, log.requeued(detail="was on AW_1")


# --- grace ---


def test_an_orphan_that_was_not_held_for_the_grace_time_is_found(log: Log) -> None:
    rows = held_for(log, 10 * MILLISECOND)
    verdict = judge(log, store=GRACES)
    assert broken(verdict) == {"grace"}
    assert shown(verdict, "grace") == [list(rows)]
    assert "was held for 0.010 s, and the grace time of AW_1 is 20 s" in verdict.violations[0].what


@pytest.mark.parametrize(
    ("trigger", "phase", "detail"),
    [
        (JobTrigger.GAVE_UP_LOST, JobPhase.FAILED, ""),
        (JobTrigger.RETRIED, JobPhase.DELAYED, "was lost with AW_1"),
    ],
)
def test_so_is_one_that_was_given_up_or_is_to_wait(
    log: Log, trigger: JobTrigger, phase: JobPhase, detail: str
) -> None:
    log.orphaned()
    again: dict[str, str | int] = {} if phase.is_ended else {"epoch": 2, "attempt": 2}
    log.move(trigger, phase, JOB, detail=detail, **again)
    assert broken(judge(log, store=GRACES)) == {"grace"}


def test_an_orphan_that_was_held_for_the_grace_time_is_clean(log: Log) -> None:
    held_for(log, 20 * SECOND)
    verdict = judge(log, store=GRACES)
    assert verdict.is_clean
    assert verdict.finding("grace").judged == 1


@pytest.mark.parametrize(
    ("trigger", "phase", "detail"),
    [
        (JobTrigger.GRACE_EXPIRED, JobPhase.QUEUED, "was on AW_1; its agent was lost (migration)"),
        (
            JobTrigger.RETRIED,
            JobPhase.DELAYED,
            "was lost with AW_1; its agent was lost (migration)",
        ),
        (JobTrigger.GAVE_UP_LOST, JobPhase.FAILED, "its agent was lost (migration)"),
    ],
)
def test_with_evidence_nobody_waits(
    log: Log, trigger: JobTrigger, phase: JobPhase, detail: str
) -> None:
    log.orphaned()
    again: dict[str, str | int] = {} if phase.is_ended else {"epoch": 2, "attempt": 2}
    log.move(trigger, phase, JOB, detail=detail, **again)
    verdict = judge(log, store=GRACES)
    assert verdict.is_clean
    assert verdict.finding("grace").judged == 1


def test_a_grace_time_that_nobody_knows_is_not_judged(log: Log) -> None:
    held_for(log, 10 * MILLISECOND)
    finding = judge(log).finding("grace")
    assert not finding.is_judged
    assert finding.unjudged == {"the grace time of its worker is not known (grace_seconds_min)": 1}


def test_the_shortest_grace_time_is_for_workers_that_the_store_does_not_know(log: Log) -> None:
    held_for(log, 2 * SECOND)
    assert broken(judge(log, grace_seconds_min=3.0)) == {"grace"}
    assert judge(log, grace_seconds_min=2.0).is_clean


def test_a_loss_that_was_perhaps_written_down_late_is_not_judged(log: Log) -> None:
    log.silent(30)  # the disk took nothing, and the grace time passed meanwhile
    held_for(log, 10 * MILLISECOND)
    store = Store(grace_seconds={"AW_1": 3}, ended=GRACES.ended)
    verdict = judge(log, store=store, commit_seconds_max=5)
    assert verdict.is_clean
    assert verdict.finding("grace").unjudged == {"its loss may have been written down late": 1}


def test_where_other_projects_have_events_too_a_short_time_is_not_judged(log: Log) -> None:
    held_for(log, 10 * MILLISECOND)
    verdict = judge(log, store=GRACES, has_all_projects=False)
    assert verdict.is_clean
    assert sum(verdict.finding("grace").unjudged.values()) == 1


def test_a_clock_that_was_set_back_is_not_taken_for_a_short_time(log: Log) -> None:
    log.orphaned()
    log.now -= 5 * SECOND
    log.busy(8)
    log.requeued(detail="was on AW_1")
    verdict = judge(log, store=Store(grace_seconds={"AW_1": 6}, ended=GRACES.ended))
    assert verdict.is_clean
    assert verdict.finding("grace").unjudged == {"the clock was set back meanwhile": 1}


def test_a_server_that_may_have_been_started_by_another_clock_is_not_accused(log: Log) -> None:
    log.orphaned()
    log.silent(15)
    log.requeued(detail="was on AW_1")
    verdict = judge(log, store=GRACES)
    assert verdict.is_clean
    assert sum(verdict.finding("grace").unjudged.values()) == 1


# --- capacity ---


def given(log: Log, count: int) -> list[EventRow]:
    """Let one worker have so many jobs more."""
    for number in range(count):
        log.created(f"AJ_more_{number}")
    return [log.assigned(f"AJ_more_{number}") for number in range(count)]


def test_a_worker_that_is_given_more_than_it_may_have_is_found(log: Log) -> None:
    *_, last = given(log, 2)
    verdict = judge(log, capacity=2)
    assert broken(verdict) == {"capacity"}
    assert shown(verdict, "capacity") == [[last]]
    assert "AW_1 was given a job, and has 3 at once (limit 2)" in verdict.violations[0].what


def test_a_worker_that_is_full_is_clean(log: Log) -> None:
    given(log, 2)
    log.succeeded()
    log.created("AJ_next")
    log.assigned("AJ_next")
    assert judge(log, capacity=3).is_clean


def test_what_a_worker_claims_it_had_already(log: Log) -> None:
    given(log, 1)
    log.orphaned()
    log.orphaned("AJ_more_0")
    log.move(JobTrigger.CLAIMED, JobPhase.RUNNING, worker_id="AW_2")
    log.move(JobTrigger.CLAIMED, JobPhase.RUNNING, "AJ_more_0", worker_id="AW_2")
    verdict = judge(log, capacity=1)
    assert {one.what.split()[0] for one in verdict.of("capacity")} == {"AW_1"}


def test_a_capacity_that_nobody_says_is_not_judged(log: Log) -> None:
    finding = judge(log).finding("capacity")
    assert not finding.is_judged
    (why,) = finding.unjudged
    assert why == "the limit is not known (capacity), and no record of its worker says it"


def runs(*records: tuple[str, str, int], missing_at: int = -1) -> Verdict:
    """Judge records of a worker that may run two jobs: event, job, and which of its processes."""
    log = Log()
    lines = [
        line(event, BEGIN + place, instance_id="w", job_id=job_id, capacity=2, opened_at=process)
        for place, (event, job_id, process) in enumerate(records)
    ]
    for job_id in dict.fromkeys(one.job_id for one in lines):
        log.created(job_id)
    told: list[WorkerRecord | MissingRecords] = list(lines)
    if missing_at >= 0:
        told.insert(missing_at, MissingRecords(BEGIN, BEGIN + missing_at, "line 1", 1))
    return judge(log, told)


def test_a_worker_that_runs_more_than_it_says_it_may_is_found() -> None:
    verdict = runs(("start", "A", 1), ("start", "B", 1), ("start", "C", 1))
    (violation,) = verdict.of("capacity")
    assert violation.what == "w ran 3 jobs at once (limit 2)"
    assert verdict.finding("capacity").judged == 3


def test_a_worker_that_runs_one_after_the_other_is_clean() -> None:
    assert not runs(("start", "A", 1), ("start", "B", 1), ("end", "A", 1), ("start", "C", 1)).of(
        "capacity"
    )


def test_what_a_process_that_was_killed_ran_is_not_counted_to_the_next() -> None:
    assert not runs(("start", "A", 1), ("start", "B", 1), ("start", "C", 2)).of("capacity")


def test_where_lines_are_missing_runs_are_counted_anew() -> None:
    assert not runs(("start", "A", 1), ("start", "B", 1), ("start", "C", 1), missing_at=2).of(
        "capacity"
    )


def test_a_run_whose_end_comes_too_late_to_be_heard_is_not_counted_for_ever(log: Log) -> None:
    log.succeeded()
    records = [
        line("start", BEGIN, instance_id="w", capacity=1),
        line("start", log.now + 60 * SECOND, instance_id="w", capacity=1, job_id="AJ_late"),
    ]
    log.busy(10)
    log.silent(50)
    log.created("AJ_late")
    assert not judge(log, records, ended_jobs_remembered_max=1).of("capacity")


# --- offers ---


def test_offers_are_said_not_to_be_judged(log: Log) -> None:
    finding = judge(log).finding("offers")
    assert not finding.is_judged
    assert sum(finding.unjudged.values()) == judge(log).jobs

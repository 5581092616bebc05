"""Who held and ran a job: what the log shows, and what the workers' own records show."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import MissingRecords
from dispatcher.store.contract import EventRow
from tests.unit.dispatcher.history.builders import (
    BEGIN,
    JOB,
    REPORTED,
    STEP,
    Log,
    broken,
    judge,
    line,
    shown,
)

MOMENT = STEP // 10


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_run_that_the_log_has_is_clean(log: Log) -> None:
    log.created()
    assigned = log.assigned()
    log.started()
    end = log.succeeded()
    records = [line("start", assigned.at + MOMENT), line("end", end.at - MOMENT)]
    verdict = judge(log, records, has_all_workers=True)
    assert verdict.is_clean
    assert verdict.records == 2
    assert verdict.finding("durable").judged == 1


# --- holders ---


def test_an_epoch_that_two_processes_started_is_found(log: Log) -> None:
    log.created()
    at = log.assigned().at
    one, two = line("start", at + MOMENT), line("start", at + 2 * MOMENT, instance_id="two")
    verdict = judge(log, [one, two])
    assert broken(verdict) == {"holders"}
    assert shown(verdict, "holders") == [[one, two]]


def test_an_epoch_that_one_process_started_twice_is_found(log: Log) -> None:
    log.created()
    at = log.assigned().at
    verdict = judge(log, [line("start", at + MOMENT), line("start", at + 2 * MOMENT)])
    assert broken(verdict) == {"holders"}


def test_a_second_start_that_was_written_after_the_end_is_found(log: Log) -> None:
    log.created()
    at = log.assigned().at
    log.started()
    end = log.succeeded()
    records = [line("start", at), line("end", end.at - MOMENT)]
    late = line("start", end.at + SECOND, instance_id="two")
    log.busy(3)
    assert broken(judge(log, [*records, late])) == {"holders"}


def test_two_epochs_on_two_processes_are_clean(log: Log) -> None:
    log.created()
    first = log.assigned()
    log.orphaned()
    log.requeued()
    second = log.assigned(worker_id="AW_2")
    end = log.succeeded()
    records = [
        line("start", first.at + MOMENT),
        line("start", second.at + MOMENT, 2, "two"),
        line("end", end.at - MOMENT, 2, "two"),
    ]
    assert judge(log, records, has_all_workers=True).is_clean


def test_an_epoch_that_was_given_away_twice_is_found(log: Log) -> None:
    log.created()
    first = log.assigned()
    log.orphaned()
    log.requeued(epoch=1, attempt=1)
    second = log.assigned(worker_id="AW_2")
    assert shown(judge(log), "holders") == [[first, second]]


def test_a_job_that_was_reserved_for_another_is_found(log: Log) -> None:
    log.move(JobTrigger.CREATED, JobPhase.OFFERED, worker_id="AW_1")
    log.assigned(worker_id="AW_2")
    assert broken(judge(log)) == {"holders"}


# --- results ---


def test_an_end_by_who_is_not_the_holder_is_found(log: Log) -> None:
    log.created()
    held = log.assigned()
    end = log.succeeded(worker_id="AW_2")
    verdict = judge(log)
    assert broken(verdict) == {"results"}
    assert shown(verdict, "results") == [[held, end]]


def test_a_result_of_an_older_epoch_that_counted_is_found(log: Log) -> None:
    log.created()
    first = log.assigned()
    log.orphaned()
    log.requeued()
    second = log.assigned(worker_id="AW_2")
    end = log.succeeded()
    older = line("end", end.at - MOMENT)
    records = [line("start", first.at), line("start", second.at, 2, "two"), older]
    verdict = judge(log, sorted(records, key=lambda record: record.at))
    assert broken(verdict) == {"results"}
    assert shown(verdict, "results") == [[older, end]]


def test_a_success_that_no_worker_wrote_down_is_found_where_all_write(log: Log) -> None:
    log.created()
    log.assigned()
    log.succeeded()
    assert broken(judge(log, has_all_workers=True)) == {"results"}


def test_what_no_worker_wrote_down_is_not_judged_where_lines_are_missing(log: Log) -> None:
    log.whole_life()
    for missing in (
        MissingRecords(BEGIN, log.now, "records.jsonl, line 3"),
        MissingRecords(BEGIN, log.now, "records.jsonl, line 3", 2),
    ):
        verdict = judge(log, [missing], has_all_workers=True)
        assert verdict.is_clean
        assert verdict.violations == ()
        for name in ("results", "starts"):
            assert verdict.finding(name).unjudged == {"records of workers are missing there": 1}
            assert not verdict.finding(name).is_judged


def test_lines_that_are_missing_at_another_time_excuse_nothing(log: Log) -> None:
    log.whole_life()
    missing = MissingRecords(log.now - 100 * SECOND, log.now - 50 * SECOND, "records.jsonl, line 3")
    verdict = judge(log, [missing], has_all_workers=True)
    assert broken(verdict) == {"results", "starts"}
    assert len(verdict.violations) == 2


def test_an_end_that_was_written_and_is_no_success_is_found_also_where_lines_are_missing(
    log: Log,
) -> None:
    log.created()
    at = log.assigned().at
    log.succeeded()
    records = [line("start", at), line("end", at + MOMENT, outcome="failed")]
    verdict = judge(log, [*records, MissingRecords(BEGIN, log.now, "x", 1)], has_all_workers=True)
    assert broken(verdict) == {"results"}


@pytest.mark.parametrize("is_last", [True, False])
def test_a_failure_that_its_worker_wrote_down_as_a_success_is_found(
    log: Log, is_last: bool
) -> None:
    row = _failed(log, is_last)
    start, end = line("start", row.at - 3 * MOMENT), line("end", row.at - MOMENT)
    verdict = judge(log, [start, end])
    assert broken(verdict) == {"results"}
    assert shown(verdict, "results") == [[end, row]]


@pytest.mark.parametrize("is_last", [True, False])
def test_a_failure_that_its_worker_wrote_down_is_clean(log: Log, is_last: bool) -> None:
    row = _failed(log, is_last)
    end = line("end", row.at - MOMENT, outcome="failed")
    assert judge(log, [line("start", row.at - 3 * MOMENT), end]).is_clean


def test_a_job_that_was_told_to_stop_may_be_reported_as_failed_and_succeed(log: Log) -> None:
    row = _failed(log, True)
    records = [line(event, row.at - MOMENT) for event in ("start", "stop", "end")]
    assert judge(log, records).is_clean


def test_a_failure_of_a_worker_without_a_log_is_not_judged(log: Log) -> None:
    _failed(log, True)
    assert judge(log).finding("results").unjudged == {"no log of its worker": 1}


def _failed(log: Log, is_last: bool) -> EventRow:
    """A job that its worker reported as failed, for good or to be tried again."""
    log.created()
    log.assigned()
    log.started()
    if is_last:
        told = f"{REPORTED}; attempt 1 of 1, the last"
        return log.move(JobTrigger.FAILED, JobPhase.FAILED, detail=told)
    again: dict[str, str | int] = {"epoch": 2, "attempt": 2, "worker_id": ""}
    return log.move(JobTrigger.RETRIED, JobPhase.DELAYED, JOB, detail="failed on AW_1", **again)


# --- starts ---


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_start_that_no_worker_wrote_down_is_found_where_all_write(
    log: Log, is_heard: bool
) -> None:
    log.created()
    log.assigned()
    started = log.started()
    if is_heard:
        log.silent(6)
        log.created("AJ_2")
        log.assigned("AJ_2")
    else:
        log.silent(60)
    log.orphaned()
    log.requeued()
    second = log.assigned(worker_id="AW_2")
    log.started()
    log.succeeded()
    records = [line("start", second.at, 2), line("end", second.at + MOMENT, 2)]
    verdict = judge(log, records, has_all_workers=True)
    assert broken(verdict) == {"starts"}
    assert shown(verdict, "starts") == [[started]]
    assert verdict.finding("starts").judged == 2


def test_a_worker_that_is_lost_as_it_starts_a_job_need_not_have_written_it_down(log: Log) -> None:
    log.created()
    log.assigned()
    log.started()
    log.silent(30)  # until it is noticed
    log.orphaned()
    verdict = judge(log, has_all_workers=True)
    assert verdict.is_clean
    unjudged = verdict.finding("starts").unjudged
    assert unjudged == {"its worker may not have come to write it down": 1}


def test_a_start_is_not_judged_without_the_logs_of_all_workers(log: Log) -> None:
    log.whole_life()
    verdict = judge(log)
    assert verdict.finding("starts").unjudged == {"no log of its worker": 1}
    assert not verdict.finding("starts").is_judged


def test_a_start_after_the_logs_were_read_is_not_judged(log: Log) -> None:
    log.created()
    read_at = log.assigned().at
    log.started()
    log.busy(10)
    unjudged = judge(log, records_until=read_at, has_all_workers=True).finding("starts").unjudged
    assert unjudged["its worker's log was read before its start"]


def test_a_success_of_a_worker_without_a_log_is_not_judged(log: Log) -> None:
    log.whole_life()
    verdict = judge(log)
    assert verdict.is_clean
    assert verdict.finding("results").unjudged == {"no log of its worker": 1}


def test_a_success_after_the_logs_were_read_is_not_judged(log: Log) -> None:
    log.created()
    start = line("start", log.assigned().at)
    read_at = log.now
    log.succeeded()
    verdict = judge(log, [start], records_until=read_at, has_all_workers=True)
    assert verdict.is_clean
    assert verdict.finding("results").unjudged == {"its worker's log was read before its end": 1}


def test_an_end_that_was_seen_in_the_room_needs_no_word_of_a_worker(log: Log) -> None:
    log.created()
    log.assigned()
    log.succeeded(detail="its agent left the room")
    assert judge(log, has_all_workers=True).is_clean


# --- durable ---


def test_a_run_of_a_job_that_the_log_has_not_is_found(log: Log) -> None:
    log.busy(1)
    start = line("start", BEGIN + SECOND // 2)
    assert shown(judge(log, [start]), "durable") == [[start]]


def test_a_run_before_or_after_the_log_is_not_judged(log: Log) -> None:
    log.busy(1)
    records = [line("start", BEGIN - SECOND), line("start", log.now + SECOND, job_id="AJ_2")]
    verdict = judge(log, records)
    assert verdict.is_clean
    assert verdict.finding("durable").unjudged == {"the log does not cover its time": 2}


def test_a_run_of_an_epoch_that_was_given_to_nobody_is_found(log: Log) -> None:
    created = log.created()
    start = line("start", created.at + MOMENT)
    verdict = judge(log, [start])
    assert broken(verdict) == {"durable"}
    assert shown(verdict, "durable") == [[created, start]]


def test_a_run_of_a_job_that_is_reserved_is_clean(log: Log) -> None:
    reserved = log.move(JobTrigger.CREATED, JobPhase.OFFERED, worker_id="AW_1")
    assert judge(log, [line("start", reserved.at + MOMENT)]).is_clean


def test_a_run_whose_job_was_settled_long_ago_is_no_unknown_one(log: Log) -> None:
    log.whole_life()
    log.busy(3)
    late = line("start", log.now - MOMENT)
    assert judge(log, [late], ended_jobs_remembered_max=1).is_clean


# --- stops ---


def test_a_worker_that_runs_on_after_it_was_told_to_stop_is_found(log: Log) -> None:
    log.created()
    at = log.assigned().at
    stop = line("stop", at + SECOND)
    lives = [line("start", at + second * SECOND, job_id=f"AJ_{second}") for second in (40, 42)]
    log.busy(60)
    verdict = judge(log, [line("start", at), stop, *lives], has_all_projects=False)
    assert broken(verdict) == {"stops"}
    assert shown(verdict, "stops")[0][0] == stop


def test_a_worker_that_stops_in_time_is_clean(log: Log) -> None:
    log.created()
    at = log.assigned().at
    records = [line("start", at), line("stop", at + SECOND)]
    records.append(line("end", at + 20 * SECOND, outcome="stopped"))
    records.append(line("start", at + 90 * SECOND, job_id="AJ_9"))
    verdict = judge(log, records, has_all_projects=False)
    assert verdict.is_clean
    assert verdict.finding("stops").judged == 1


def test_a_worker_that_was_suspended_and_stops_when_it_wakes_is_clean(log: Log) -> None:
    log.created()
    at = log.assigned().at
    records = [line("start", at), line("stop", at + SECOND)]
    records.append(line("start", at + 90 * SECOND, job_id="AJ_9"))
    records.append(line("end", at + 90 * SECOND + MOMENT, outcome="stopped"))
    assert judge(log, records, has_all_projects=False).is_clean


# --- config ---


def test_a_job_that_ran_in_two_rooms_is_found(log: Log) -> None:
    log.created()
    first = log.assigned()
    log.orphaned()
    log.requeued()
    second = log.assigned(worker_id="AW_2")
    records = [line("start", first.at), line("start", second.at, 2, "two", room="elsewhere")]
    assert broken(judge(log, records)) == {"config"}

"""Each checker of the log: what it finds, and what it leaves in peace."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import SECOND, RestartPolicy
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from dispatcher.history import Gone, Numbers
from dispatcher.store.contract import EventRow
from tests.unit.dispatcher.history.builders import (
    BEGIN,
    JOB,
    REPORTED,
    Log,
    Store,
    broken,
    facts,
    judge,
    shown,
)


@pytest.fixture
def log() -> Log:
    return Log()


# --- clean histories ---


def test_a_job_that_runs_and_succeeds_is_clean(log: Log) -> None:
    log.whole_life()
    verdict = judge(log, is_over=True)
    assert verdict.is_clean
    assert (verdict.events, verdict.jobs, verdict.ended_jobs) == (4, 1, 1)


def test_a_job_that_is_lost_and_tried_again_is_clean(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued()
    log.assigned(worker_id="AW_2")
    log.succeeded()
    assert judge(log, is_over=True, attempts_max=5).is_clean


@pytest.mark.parametrize(
    ("move", "phase"),
    [(JobTrigger.CLAIMED, JobPhase.RUNNING), (JobTrigger.REDELIVERED, JobPhase.ASSIGNED)],
)
def test_a_worker_that_comes_back_under_a_new_id_is_clean(
    log: Log, move: JobTrigger, phase: JobPhase
) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.move(move, phase, worker_id="AW_2")
    log.succeeded()
    assert judge(log).is_clean


def test_a_new_job_that_was_reserved_and_withdrawn_is_clean(log: Log) -> None:
    log.move(JobTrigger.CREATED, JobPhase.OFFERED, worker_id="AW_1")
    log.move(JobTrigger.OFFER_WITHDRAWN, JobPhase.QUEUED, worker_id="")
    log.assigned(worker_id="AW_2")
    log.succeeded()
    assert judge(log).is_clean


def test_a_job_that_its_worker_rejected_for_good_is_clean(log: Log) -> None:
    log.created()
    log.move(JobTrigger.OFFER_TERMINATED, JobPhase.SUCCEEDED)
    assert judge(log).is_clean


def test_a_job_that_waits_is_clean_while_the_run_goes_on(log: Log) -> None:
    log.created()
    assert judge(log).is_clean


# --- lifecycle ---


def test_a_move_that_the_table_does_not_have_is_found(log: Log) -> None:
    created = log.created()
    started = log.started()
    verdict = judge(log)
    assert broken(verdict) == {"lifecycle"}
    assert shown(verdict, "lifecycle") == [[created, started]]


def test_a_trigger_that_leads_elsewhere_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.move(JobTrigger.SUCCEEDED, JobPhase.FAILED)
    assert broken(judge(log)) == {"lifecycle"}


def test_a_job_without_a_beginning_is_found(log: Log) -> None:
    log.whole_life("AJ_other")
    assigned = log.assigned()
    assert shown(judge(log), "lifecycle") == [[assigned]]


def test_a_job_that_is_created_twice_is_found(log: Log) -> None:
    log.created()
    log.created()
    assert broken(judge(log)) == {"lifecycle"}


def test_a_job_that_is_created_as_one_that_runs_is_found(log: Log) -> None:
    log.move(JobTrigger.CREATED, JobPhase.RUNNING)
    assert broken(judge(log)) == {"lifecycle"}


# --- endings ---


def test_a_move_after_the_end_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    end = log.succeeded()
    later = log.move(JobTrigger.FAILED, JobPhase.FAILED)
    verdict = judge(log)
    assert broken(verdict) == {"endings"}
    assert shown(verdict, "endings") == [[end, later]]


def test_a_second_end_is_found_long_after_the_first(log: Log) -> None:
    log.whole_life()
    log.busy(5)
    log.succeeded()
    assert broken(judge(log)) == {"endings"}


def test_a_job_that_has_not_ended_is_found_when_the_run_is_over(log: Log) -> None:
    log.created()
    log.assigned()
    started = log.started()
    assert shown(judge(log, is_over=True), "endings") == [[started]]


# --- epochs ---


def test_an_epoch_that_goes_back_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued()
    again = log.assigned()
    back = log.succeeded(epoch=1)
    assert shown(judge(log), "epochs") == [[again, back]]


def test_a_job_that_leaves_its_holder_with_its_epoch_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued(epoch=1, attempt=1)
    assert broken(judge(log)) == {"epochs"}


def test_an_epoch_that_is_left_out_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued(epoch=3)
    assert broken(judge(log)) == {"epochs"}


def test_an_epoch_that_grows_while_its_worker_holds_the_job_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.started(epoch=2)
    assert broken(judge(log)) == {"epochs"}


def test_a_job_that_begins_at_a_later_epoch_is_found(log: Log) -> None:
    log.created(epoch=2)
    assert broken(judge(log)) == {"epochs"}


# --- attempts ---


def test_an_attempt_beyond_the_limit_is_found_once(log: Log) -> None:
    log.created()
    for attempt in (2, 3):
        log.assigned()
        log.move(JobTrigger.RETRIED, JobPhase.DELAYED, epoch=attempt, attempt=attempt)
        log.move(JobTrigger.BECAME_DUE, JobPhase.QUEUED, worker_id="")
    log.assigned()
    log.succeeded()
    assert judge(log, attempts_max=3).is_clean
    verdict = judge(log, attempts_max=2)
    assert broken(verdict) == {"attempts"}
    assert verdict.finding("attempts").violations == 1


@pytest.fixture
def lost_twice(log: Log) -> Log:
    """A job that was lost twice, and succeeds at its third attempt."""
    log.created()
    for _ in range(2):
        log.assigned()
        log.orphaned()
        log.requeued()
    log.assigned()
    log.succeeded()
    return log


def test_a_lost_job_that_may_not_be_to_blame_has_more_attempts(lost_twice: Log) -> None:
    assert judge(lost_twice, attempts_max=1).is_clean
    assert judge(lost_twice, attempts_max=1, losses_max=3).is_clean


def test_a_job_that_was_lost_more_often_than_any_may_be_is_found(lost_twice: Log) -> None:
    assert broken(judge(lost_twice, attempts_max=1, losses_max=2)) == {"attempts"}
    assert broken(judge(lost_twice, attempts_max=2, losses_max=1)) == {"attempts"}


def test_a_job_that_is_lost_for_ever_is_found_without_being_told_the_limit(log: Log) -> None:
    log.created()
    for _ in range(60):
        log.assigned()
        log.orphaned()
        log.requeued()
    assert broken(judge(log, attempts_max=5)) == {"attempts"}
    assert judge(log, attempts_max=5, losses_max=61).is_clean


def test_an_attempt_beyond_the_limit_of_a_job_with_a_pruned_beginning_is_not_judged(
    log: Log,
) -> None:
    log.sequence = 100
    log.created(attempt=1)
    log.rows.clear()
    log.started(attempt=4)
    verdict = judge(log, attempts_max=2)
    assert verdict.is_clean
    assert "it is not known how often it was lost" in verdict.finding("attempts").unjudged


def test_an_attempt_that_is_left_out_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued(attempt=3)
    assert broken(judge(log)) == {"attempts"}


def test_an_attempt_that_goes_back_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    log.requeued()
    log.assigned()
    log.started(attempt=1)
    assert broken(judge(log)) == {"attempts"}


def test_a_limit_that_is_not_known_is_said(log: Log) -> None:
    log.whole_life()
    assert judge(log).finding("attempts").unjudged


# --- restarts ---


def given_up(log: Log, policy: RestartPolicy, deleted_at: int = 0) -> Store:
    log.created()
    log.assigned()
    log.orphaned()
    row = log.move(JobTrigger.GAVE_UP_LOST, JobPhase.FAILED)
    return Store({JOB: facts(row, policy=policy, deleted_at=deleted_at)})


def test_a_lost_job_that_was_given_up_too_early_is_found(log: Log) -> None:
    store = given_up(log, RestartPolicy.ON_FAILURE)
    assert broken(judge(log, store=store, attempts_max=5)) == {"restarts"}


def fail(log: Log, **changes: str) -> Store:
    log.created()
    log.assigned()
    row = log.move(JobTrigger.FAILED, JobPhase.FAILED, **changes)
    return Store({JOB: facts(row)})


def test_a_failed_job_that_was_given_up_too_early_is_found(log: Log) -> None:
    store = fail(log, detail=REPORTED)
    assert broken(judge(log, store=store, attempts_max=5)) == {"restarts"}


def test_a_job_of_which_nobody_ever_said_anything_may_be_given_up(log: Log) -> None:
    store = fail(log, error="nothing was heard of it for 40 s")
    verdict = judge(log, store=store, attempts_max=5)
    assert verdict.is_clean
    assert verdict.finding("restarts").unjudged == {"nobody said that it failed": 1}


def test_a_lost_job_that_is_never_to_be_tried_again_may_be_given_up(log: Log) -> None:
    assert judge(log, store=given_up(log, RestartPolicy.NEVER), attempts_max=5).is_clean


def test_a_lost_job_may_be_given_up_at_its_last_attempt(log: Log) -> None:
    assert judge(log, store=given_up(log, RestartPolicy.ON_FAILURE), attempts_max=1).is_clean


def tried_again(log: Log, policy: RestartPolicy, *, is_lost: bool) -> tuple[Store, list[EventRow]]:
    log.created()
    log.assigned()
    started = log.started()
    if is_lost:
        log.orphaned()
        row = log.requeued()
    else:
        again: dict[str, str | int] = {"epoch": 2, "attempt": 2, "worker_id": ""}
        row = log.move(JobTrigger.RETRIED, JobPhase.DELAYED, JOB, detail="failed on AW_1", **again)
    return Store({JOB: facts(row, policy=policy)}), [started, row]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_job_that_is_never_to_be_tried_again_and_was_is_found(log: Log, is_lost: bool) -> None:
    store, rows = tried_again(log, RestartPolicy.NEVER, is_lost=is_lost)
    verdict = judge(log, store=store)
    assert broken(verdict) == {"restarts"}
    assert shown(verdict, "restarts") == [rows]


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_job_that_is_tried_again_on_failure_is_clean(log: Log, is_lost: bool) -> None:
    store, _ = tried_again(log, RestartPolicy.ON_FAILURE, is_lost=is_lost)
    verdict = judge(log, store=store)
    assert verdict.is_clean
    assert verdict.finding("restarts").judged == 1


def test_a_job_that_nobody_got_goes_to_others_whatever_its_restart_policy(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()
    row = log.requeued(attempt=1)
    store = Store({JOB: facts(row, policy=RestartPolicy.NEVER)})
    assert judge(log, store=store).is_clean


def test_a_job_that_was_given_up_for_others_goes_on_whatever_its_restart_policy(log: Log) -> None:
    log.created()
    log.assigned()
    log.started()
    row = log.move(JobTrigger.HANDED_OVER, JobPhase.QUEUED, epoch=2, worker_id="")
    store = Store({JOB: facts(row, policy=RestartPolicy.NEVER)})
    assert judge(log, store=store).is_clean


def test_a_lost_job_whose_dispatch_was_deleted_is_not_judged(log: Log) -> None:
    store = given_up(log, RestartPolicy.ON_FAILURE, deleted_at=BEGIN)
    verdict = judge(log, store=store, attempts_max=5)
    assert verdict.is_clean
    assert verdict.finding("restarts").unjudged == {"its dispatch was deleted": 1}


# --- config ---


def test_a_job_that_changes_its_dispatch_is_found(log: Log) -> None:
    log.created()
    log.move(JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED, dispatch_id="AD_2", worker_id="AW_1")
    assert broken(judge(log)) == {"config"}


def test_a_job_that_changes_its_project_is_found(log: Log) -> None:
    log.created()
    log.move(JobTrigger.OFFER_ACCEPTED, JobPhase.ASSIGNED, project="q", worker_id="AW_1")
    assert broken(judge(log)) == {"config"}


# --- sequence ---


def test_a_row_that_is_missing_is_found(log: Log) -> None:
    log.whole_life("AJ_a")
    log.sequence += 1
    row = log.created()
    verdict = judge(log)
    assert broken(verdict) == {"sequence"}
    assert shown(verdict, "sequence") == [[row]]


def test_a_number_that_comes_twice_is_found(log: Log) -> None:
    log.created("AJ_a")
    log.sequence -= 1
    log.created("AJ_b")
    assert broken(judge(log)) == {"sequence"}


def test_a_time_that_went_back_though_no_server_was_started_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    before = log.started()
    log.now -= 5 * SECOND
    log.created("AJ_2")
    end = log.succeeded()
    verdict = judge(log)
    assert broken(verdict) == {"sequence"}
    assert shown(verdict, "sequence") == [[before, end]]


def test_a_clock_that_is_set_back_between_two_runs_of_a_server_is_clean(log: Log) -> None:
    log.created()
    log.assigned()
    log.started()
    log.now -= 5 * SECOND
    log.created("AJ_2")
    log.orphaned(detail="the server was restarted")
    log.move(JobTrigger.CLAIMED, JobPhase.RUNNING)
    log.succeeded()
    assert judge(log).is_clean


def test_a_log_whose_beginning_was_pruned_is_clean_and_says_so(log: Log) -> None:
    log.sequence = 100
    log.started()
    log.succeeded()
    log.whole_life("AJ_2")
    verdict = judge(log)
    assert verdict.is_clean
    assert verdict.gone == (Gone(0, 101),)


def test_rows_that_were_pruned_while_it_was_read_are_no_gap(log: Log) -> None:
    log.created()
    log.rows.append(Gone(1, 4))
    log.sequence = 3
    log.succeeded(worker_id="AW_1")
    log.created("AJ_2")
    assert judge(log).is_clean


def test_behind_a_gap_that_is_known_moves_are_judged_again(log: Log) -> None:
    log.created()
    log.rows.append(Gone(1, 4))
    log.sequence = 3
    log.assigned()
    log.move(JobTrigger.BECAME_DUE, JobPhase.QUEUED)
    assert "lifecycle" in broken(judge(log))


def test_numbers_of_one_project_among_several_are_not_judged(log: Log) -> None:
    log.created("AJ_a")
    log.sequence += 5
    log.created("AJ_b")
    verdict = judge(log, has_all_projects=False)
    assert verdict.is_clean
    assert verdict.finding("sequence").unjudged


def test_a_log_that_ends_before_what_the_store_knows_is_found(log: Log) -> None:
    log.whole_life()
    store = Store(of_log=Numbers(first=1, last=4, mentioned=9))
    verdict = judge(log, store=store)
    assert broken(verdict) == {"sequence"}
    assert "the log lacks 5 events at its end" in verdict.violations[0].what


def test_a_log_that_is_empty_without_having_been_pruned_is_found(log: Log) -> None:
    assert broken(judge(log, store=Store(of_log=Numbers(mentioned=9)))) == {"sequence"}
    assert judge(log, store=Store(of_log=Numbers(mentioned=9, pruned=9))).is_clean


def test_a_log_that_begins_late_without_having_been_pruned_is_found(log: Log) -> None:
    log.sequence = 100
    log.whole_life()
    numbers = Numbers(first=101, last=104, mentioned=104, pruned=99)
    assert broken(judge(log, store=Store(of_log=numbers))) == {"sequence"}
    numbers = Numbers(first=101, last=104, mentioned=104, pruned=100)
    assert judge(log, store=Store(of_log=numbers)).is_clean

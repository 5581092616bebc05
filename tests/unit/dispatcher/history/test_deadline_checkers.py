"""Deadlines: late is found while the log shows that a server was there, and never else."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import SECOND
from dispatcher.core.lifecycle import JobPhase, JobTrigger
from tests.unit.dispatcher.history.builders import JOB, Log, Store, broken, facts, judge, shown


@pytest.fixture
def log() -> Log:
    return Log()


def lose(log: Log) -> None:
    log.created()
    log.assigned()
    log.orphaned()


def test_an_orphan_that_nobody_settles_is_found(log: Log) -> None:
    lose(log)
    orphaned = log.rows[-1]
    log.busy(20 + 30 + 5)
    verdict = judge(log, grace_seconds_max=20)
    assert broken(verdict) == {"deadlines"}
    assert shown(verdict, "deadlines") == [[orphaned]]


def test_an_orphan_that_is_settled_late_is_found_once(log: Log) -> None:
    lose(log)
    log.busy(20 + 30 + 5)
    log.requeued()
    assert judge(log, grace_seconds_max=20).finding("deadlines").violations == 1


def test_an_orphan_within_its_grace_time_is_clean(log: Log) -> None:
    lose(log)
    log.busy(45)
    log.requeued()
    assert judge(log, grace_seconds_max=20).is_clean


def test_an_orphan_is_not_late_when_the_server_was_away(log: Log) -> None:
    lose(log)
    log.silent(600)
    log.busy(45)
    log.requeued()
    verdict = judge(log, grace_seconds_max=20)
    assert verdict.is_clean
    assert verdict.finding("deadlines").unjudged == {
        "it was late, and the server may have been away": 1
    }


def test_the_grace_time_begins_anew_with_a_server_that_takes_over(log: Log) -> None:
    lose(log)
    log.busy(30)
    log.created("AJ_2")
    log.assigned("AJ_2")
    log.orphaned("AJ_2", detail="the server was restarted")
    log.busy(30)
    log.requeued()
    log.requeued("AJ_2")
    assert judge(log, grace_seconds_max=20).is_clean


def test_an_orphan_is_not_late_when_the_clock_was_set_back(log: Log) -> None:
    lose(log)
    log.busy(30)
    log.silent(-3)
    log.busy(40)
    log.requeued()
    assert judge(log, grace_seconds_max=20).is_clean


def test_a_queued_job_past_its_deadline_is_found(log: Log) -> None:
    created = log.created()
    log.busy(60 + 30 + 5)
    store = Store({JOB: facts(created, queue_seconds=60)})
    assert "deadlines" in broken(judge(log, store=store))


def test_a_queued_job_within_its_deadline_is_clean(log: Log) -> None:
    created = log.created()
    log.busy(100)
    store = Store({JOB: facts(created, queue_seconds=300)})
    assert judge(log, store=store).is_clean


def test_a_queued_job_is_judged_without_a_store_where_the_bound_is_said(log: Log) -> None:
    log.created()
    log.busy(60 + 30 + 5)
    assert broken(judge(log, queue_seconds_max=60)) == {"deadlines"}
    assert judge(log).is_clean


def test_an_offer_that_nobody_withdraws_is_found(log: Log) -> None:
    log.move(JobTrigger.CREATED, JobPhase.OFFERED, worker_id="AW_1")
    log.busy(10 + 30 + 5)
    assert broken(judge(log, offer_seconds_max=10)) == {"deadlines"}


def test_a_retry_that_never_comes_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    log.move(JobTrigger.RETRIED, JobPhase.DELAYED, epoch=2, attempt=2, worker_id="")
    log.busy(30 + 30 + 5)
    assert broken(judge(log, retry_seconds_max=30)) == {"deadlines"}


def test_a_job_that_was_asked_for_later_is_not_held_to_the_time_of_a_retry(log: Log) -> None:
    log.move(JobTrigger.CREATED, JobPhase.DELAYED)
    log.busy(30 + 30 + 5)
    assert judge(log, retry_seconds_max=30).is_clean


def test_a_live_job_past_the_deadline_that_the_store_knows_is_found(log: Log) -> None:
    log.created()
    log.assigned()
    orphaned = log.orphaned()
    log.busy(60)
    store = Store({JOB: facts(orphaned, until=orphaned.at + 20 * SECOND)})
    assert shown(judge(log, store=store), "deadlines") == [[orphaned]]


def test_a_live_job_before_the_deadline_that_the_store_knows_is_clean(log: Log) -> None:
    log.created()
    log.assigned()
    orphaned = log.orphaned()
    log.busy(60)
    store = Store({JOB: facts(orphaned, until=orphaned.at + 90 * SECOND)})
    assert "deadlines" not in broken(judge(log, store=store))

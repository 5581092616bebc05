"""The log held against what callers were told and what the store keeps."""

from __future__ import annotations

import pytest

from dispatcher.history import Contradiction
from tests.unit.dispatcher.history.builders import (
    BEGIN,
    JOB,
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


def test_an_acknowledged_dispatch_with_a_job_is_clean(log: Log) -> None:
    log.whole_life()
    verdict = judge(log, acknowledged=[f"AD_{JOB}"])
    assert verdict.is_clean
    assert verdict.finding("acknowledged").judged == 1


def test_an_acknowledged_dispatch_without_a_job_is_found(log: Log) -> None:
    log.whole_life()
    verdict = judge(log, acknowledged=["AD_lost"])
    assert broken(verdict) == {"acknowledged"}
    assert "AD_lost" in verdict.violations[0].what


def test_an_acknowledged_dispatch_that_the_store_keeps_may_have_no_job_yet(log: Log) -> None:
    log.whole_life()
    verdict = judge(log, acknowledged=["AD_2"], store=Store(dispatches=frozenset({"AD_2"})))
    assert verdict.is_clean


def test_what_was_acknowledged_before_a_pruned_log_begins_is_not_judged(log: Log) -> None:
    log.sequence = 100
    log.whole_life()
    verdict = judge(log, acknowledged=["AD_old"])
    assert verdict.is_clean
    assert verdict.finding("acknowledged").unjudged


def test_a_live_job_that_the_store_does_not_have_is_found(log: Log) -> None:
    log.created()
    started = log.assigned()
    assert shown(judge(log, store=Store()), "kept") == [[started]]


def test_a_job_that_ended_after_the_log_was_read_may_be_pruned_already(log: Log) -> None:
    log.created()
    assert judge(log, store=Store(ended=frozenset({JOB}))).is_clean


def test_a_live_job_that_the_store_has_is_clean(log: Log) -> None:
    row = log.created()
    until = BEGIN + 300 * 1_000_000_000
    assert judge(log, store=Store({JOB: facts(row, until=until)})).is_clean


def test_what_the_store_finds_in_itself_is_told(log: Log) -> None:
    log.whole_life()
    store = Store(found=(Contradiction("AJ_x", "is in two minds"),))
    verdict = judge(log, store=store)
    assert broken(verdict) == {"kept"}
    assert verdict.violations[0].job_id == "AJ_x"


def test_what_the_store_cannot_compare_is_told(log: Log) -> None:
    log.whole_life()
    verdict = judge(log, store=Store(unjudged={"it is dark": 3}))
    assert verdict.is_clean
    assert verdict.finding("kept").unjudged == {"it is dark": 3}

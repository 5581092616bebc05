"""One pass with little memory: cases are settled in time, and late words do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from dispatcher.core.jobs import SECOND
from dispatcher.history import Assumptions, check
from dispatcher.history.case import FIRST_EVENTS_KEPT, LAST_EVENTS_KEPT
from dispatcher.store.contract import EventRow
from tests.unit.dispatcher.history.builders import JOB, Log, broken, judge, line


def test_an_empty_history_is_clean() -> None:
    verdict = check([])
    assert verdict.is_clean
    assert verdict.first_sequence == 0


def test_of_a_long_history_only_the_last_jobs_are_in_memory() -> None:
    jobs, remembered = 3_000, 10
    alive = most = 0

    class Row(EventRow):
        """A row that knows when it is gone."""

        __slots__ = ()

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[EventRow]:
        nonlocal alive, most
        log = Log()
        for number in range(jobs):
            log.whole_life(f"AJ_{number}")
            for row in log.rows:
                assert isinstance(row, EventRow)
                alive += 1
                most = max(most, alive)
                yield Row(*(getattr(row, field.name) for field in fields(EventRow)))
            log.rows.clear()

    assumptions = Assumptions(ended_jobs_remembered_max=remembered)
    assert check(rows(), assumptions=assumptions).events == jobs * 4
    assert most < (remembered + 4) * 4


def test_records_come_between_the_events_of_their_time() -> None:
    log = Log()
    log.created()
    assigned = log.assigned()
    log.busy(30)
    log.succeeded()
    records = [line("start", assigned.at + 1), line("end", log.now - 1)]
    assert judge(log, records, ended_jobs_remembered_max=2).is_clean


def test_a_worker_whose_clock_is_wrong_is_not_accused() -> None:
    for skew in (-3600 * SECOND, 3600 * SECOND):
        log = Log()
        log.created()
        assigned = log.assigned()
        end = log.succeeded()
        log.busy(5)
        records = [line("start", assigned.at + skew), line("end", end.at + skew)]
        assert judge(log, records).is_clean


def test_what_ended_jobs_show_is_found_when_they_are_settled_early() -> None:
    log = Log()
    log.created()
    log.assigned()
    log.succeeded(epoch=2)
    log.busy(20)
    assert broken(judge(log, ended_jobs_remembered_max=1)) == {"epochs"}


def test_a_timeline_of_a_job_with_many_events_keeps_its_first_and_its_last() -> None:
    log = Log()
    log.created()
    for _ in range(50):
        log.assigned()
        log.orphaned()
        log.requeued()
    verdict = judge(log, is_over=True)
    (violation,) = verdict.of("endings")
    assert len(violation.timeline) == FIRST_EVENTS_KEPT + LAST_EVENTS_KEPT
    first, last = violation.timeline[0], violation.timeline[-1]
    assert isinstance(first, EventRow)
    assert isinstance(last, EventRow)
    assert (first.sequence, last.sequence) == (1, log.sequence)


def test_more_violations_than_are_kept_are_counted() -> None:
    log = Log()
    for number in range(7):
        log.created(f"AJ_{number}")
    verdict = judge(log, is_over=True, violations_kept_max=3)
    assert len(verdict.violations) == 3
    assert verdict.finding("endings").violations == 7


def test_an_end_without_a_start_is_of_a_log_that_begins_later() -> None:
    log = Log()
    log.whole_life()
    assert judge(log, [line("end", log.now)]).is_clean


def test_a_case_that_is_blamed_names_its_job() -> None:
    log = Log()
    log.created()
    log.started()
    assert judge(log).violations[0].job_id == JOB

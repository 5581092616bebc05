"""One job that an operator ends: wherever it is, durably when the answer is there, and for good."""

from __future__ import annotations

import itertools

import pytest

from dispatcher.core.effects import Outcome, Reply
from dispatcher.core.events import JobTerminationRequested
from dispatcher.core.jobs import JobType
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import PROJECT, EngineBench
from tests.unit.dispatcher.core.board_checks import board_of, check_lanes

_REQUESTS = itertools.count(10_000)


def terminate(bench: EngineBench, job: str, text: str = "", project: str = PROJECT) -> int:
    """Ask for the job's end; return the number of the call."""
    request = next(_REQUESTS)
    bench.tell(JobTerminationRequested(request, project, job, text))
    return request


def outcome(bench: EngineBench, request: int) -> Outcome | None:
    """Return how the call was answered, None while it is not."""
    found = [each for each in bench.sent if isinstance(each, Reply) and each.request == request]
    return found[0].outcome if found else None


def assert_terminated(bench: EngineBench, job: str, text: str = "") -> None:
    """The job was cancelled by an operator, and nothing is remembered of it."""
    assert bench.phase(job) is JobPhase.CANCELLED
    assert bench.state(job).ended_at
    told = bench.events(job)[-1].detail
    assert told == ("terminated by an operator" + (f": {text}" if text else ""))
    assert not board_of(bench.engine).called_off
    check_lanes(bench)


@pytest.fixture
def rule(bench: EngineBench) -> EngineBench:
    """Return the bench with a rule for every room."""
    bench.rule()
    return bench


def test_a_job_that_waits_is_ended(rule: EngineBench) -> None:
    rule.room_starts()
    request = terminate(rule, rule.job_of(), "nobody needs it")
    assert outcome(rule, request) is Outcome.DONE
    assert_terminated(rule, rule.job_of(), "nobody needs it")


def test_a_delayed_job_is_ended(bench: EngineBench) -> None:
    bench.rule(delay_seconds=5)
    bench.room_starts()
    job = bench.job_of()
    terminate(bench, job)
    assert_terminated(bench, job)
    bench.worker("w")
    bench.pass_time(10)
    assert bench.offered(job) is None


def test_a_job_that_is_being_claimed_is_ended_before_it_is_offered(rule: EngineBench) -> None:
    rule.room_starts()
    job = rule.job_of()
    rule.holds_commits = True
    rule.worker("w")  # the claim is on its way
    request = terminate(rule, job)
    assert outcome(rule, request) is None
    rule.release_commits()
    assert outcome(rule, request) is Outcome.DONE
    assert_terminated(rule, job)
    assert rule.offered(job) is None


def test_a_job_on_offer_is_ended_at_once_and_its_acceptance_is_too_late(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    request = terminate(rule, job)
    assert outcome(rule, request) is Outcome.DONE
    assert_terminated(rule, job)
    rule.accept(job, worker="w")
    assert rule.assignments(job) == []
    rule.room_starts("another")
    assert rule.offered(rule.jobs_of()[1]) == "w"


def test_a_job_that_is_offered_from_the_queue_is_ended_at_once(rule: EngineBench) -> None:
    rule.room_starts()
    job = rule.job_of()
    rule.worker("w")
    assert rule.offered(job) == "w"
    assert outcome(rule, terminate(rule, job)) is Outcome.DONE
    assert_terminated(rule, job)
    rule.restart()
    assert rule.phase(job) is JobPhase.CANCELLED


def test_a_running_job_is_ended_and_its_worker_told_only_when_that_is_durable(
    rule: EngineBench,
) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.start(job)
    rule.holds_commits = True
    request = terminate(rule, job)
    assert (outcome(rule, request), rule.stops("w")) == (None, [])
    rule.release_commits()
    assert (outcome(rule, request), rule.stops("w")) == (Outcome.DONE, [job])
    assert_terminated(rule, job)


def test_a_job_whose_worker_is_away_is_ended(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.lose("w")
    assert rule.phase(job) is JobPhase.ORPHANED
    assert outcome(rule, terminate(rule, job)) is Outcome.DONE
    assert_terminated(rule, job)


def test_a_job_that_has_ended_stays_as_it_is(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.start(job)
    rule.succeed(job)
    assert outcome(rule, terminate(rule, job)) is Outcome.DONE
    assert rule.phase(job) is JobPhase.SUCCEEDED
    assert not board_of(rule.engine).called_off


def test_two_who_end_the_same_job_are_both_answered(rule: EngineBench) -> None:
    rule.room_starts()
    job = rule.job_of()
    rule.holds_commits = True
    requests = [terminate(rule, job, "one"), terminate(rule, job, "two")]
    rule.release_commits()
    assert [outcome(rule, request) for request in requests] == [Outcome.DONE] * 2
    assert rule.phase(job) is JobPhase.CANCELLED


def test_a_job_of_another_project_is_not_ended(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    assert outcome(rule, terminate(rule, job, project="other")) is Outcome.NOT_FOUND
    assert rule.phase(job) is JobPhase.ASSIGNED


@pytest.mark.parametrize("again", ["news", "rule", "restart", "time"])
def test_what_an_operator_ended_is_not_made_anew(bench: EngineBench, again: str) -> None:
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.joins("ann")
    job = bench.job_of()
    terminate(bench, job)
    match again:
        case "news":
            bench.joins("ann")
        case "rule":
            bench.rule(job_type=JobType.PARTICIPANT, priority=3)
        case "restart":
            bench.restart()
        case _:
            bench.pass_time(60)
    bench.pass_time(1)
    assert bench.jobs_of() == [job]


def test_the_end_of_one_job_makes_room_for_the_next_at_a_rules_limit(bench: EngineBench) -> None:
    bench.rule(limit=1)
    bench.room_starts("one")
    bench.room_starts("two")
    job = bench.job_of()
    terminate(bench, job)
    assert len(bench.jobs_of()) == 2
    assert bench.live_jobs_of() == bench.jobs_of()[1:]


def test_a_dispatch_outlives_the_job_that_was_ended(bench: EngineBench) -> None:
    job = bench.dispatch()
    assert outcome(bench, terminate(bench, job)) is Outcome.DONE
    assert_terminated(bench, job)
    bench.worker("w")
    assert bench.offered(job) is None

"""Jobs that nobody asks for any more: where each of them is then, and what it is told."""

from __future__ import annotations

import pytest

from dispatcher.core.jobs import JobStateReason, JobType
from dispatcher.core.lifecycle import JobPhase
from tests.support.engine_bench import EngineBench
from tests.support.room_words import ALL_TYPES
from tests.unit.dispatcher.core.board_checks import board_of, check_lanes

ROOM_CLOSED = JobStateReason.ROOM_CLOSED


@pytest.fixture
def rule(bench: EngineBench) -> EngineBench:
    """Return the bench with a rule for every room."""
    bench.rule()
    return bench


def assert_closed(bench: EngineBench, job: str) -> None:
    """The job was cancelled because its room is over, and nothing is remembered of it."""
    state = bench.state(job)
    assert state.phase is JobPhase.CANCELLED
    assert state.reason is ROOM_CLOSED
    assert state.ended_at
    assert "its room is over" in bench.events(job)[-1].detail
    assert not board_of(bench.engine).called_off
    check_lanes(bench)


def test_a_job_that_waits_is_cancelled_with_its_room(rule: EngineBench) -> None:
    rule.room_starts()
    rule.room_finishes()
    assert_closed(rule, rule.job_of())


def test_what_is_cancelled_in_the_store_is_not_counted_as_waiting(rule: EngineBench) -> None:
    rule.room_starts("one")
    rule.room_starts("two")
    [lane] = rule.engine.lanes
    rule.room_finishes("one")
    assert rule.engine.lanes[lane].waiting == 1
    rule.room_finishes("two")
    assert not rule.engine.lanes


def test_a_delayed_job_is_cancelled_with_its_room(bench: EngineBench) -> None:
    bench.rule(delay_seconds=5)
    bench.room_starts()
    bench.room_finishes()
    assert_closed(bench, bench.job_of())


def test_a_job_that_waits_to_be_tried_again_is_cancelled_with_its_room(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.fail(job)
    assert rule.phase(job) is JobPhase.DELAYED
    rule.room_finishes()
    assert_closed(rule, job)


def test_a_running_job_is_cancelled_with_its_room_and_its_worker_told(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.start(job)
    rule.room_finishes()
    assert_closed(rule, job)
    assert rule.stops("w") == [job]


def test_a_worker_is_told_to_stop_only_when_that_is_durable(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.holds_commits = True
    rule.room_finishes()
    assert rule.stops("w") == []
    rule.release_commits()
    assert rule.stops("w") == [job]


def test_a_job_that_nobody_holds_for_a_while_is_cancelled_with_its_room(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.lose("w")
    assert rule.phase(job) is JobPhase.ORPHANED
    rule.room_finishes()
    assert_closed(rule, job)


@pytest.mark.parametrize("answer", ["accept", "decline", "lapse", "lose"])
def test_a_job_on_offer_is_cancelled_when_the_offer_ends(rule: EngineBench, answer: str) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.room_finishes()
    match answer:
        case "accept":
            rule.accept(job)
        case "decline":
            rule.decline(job)
        case "lapse":
            rule.pass_time(11)
        case _:
            rule.lose("w")
    assert_closed(rule, job)
    assert rule.assignments(job) == []


def test_a_job_that_is_being_claimed_is_cancelled_when_it_is(rule: EngineBench) -> None:
    rule.room_starts()
    job = rule.job_of()
    rule.holds_commits = True
    rule.worker("w")  # asks the store for what waits
    rule.room_finishes()
    rule.release_commits()
    assert_closed(rule, job)
    assert rule.offers(job) == []


def test_a_job_that_is_still_being_made_is_cancelled(rule: EngineBench) -> None:
    rule.holds_commits = True
    rule.room_starts()
    rule.room_finishes()
    rule.release_commits()
    assert_closed(rule, rule.job_of())


def test_a_job_that_has_ended_stays_as_it_is(rule: EngineBench) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    rule.accept(job)
    rule.succeed(job)
    rule.room_finishes()
    assert rule.phase(job) is JobPhase.SUCCEEDED
    assert not board_of(rule.engine).called_off


def test_the_jobs_of_everybody_in_a_room_end_with_it_and_those_of_another_go_on(
    bench: EngineBench,
) -> None:
    for job_type in ALL_TYPES:
        bench.rule(job_type.name, job_type)
    for room in ("room", "other"):
        bench.joins("ann", room=room)
        bench.publishes("ann", room=room)
    bench.room_finishes("room")
    for job_type in ALL_TYPES:
        over, goes_on = bench.jobs_of(job_type.name)
        assert bench.state(over).reason is ROOM_CLOSED
        assert bench.phase(goes_on) is JobPhase.QUEUED


def test_what_was_on_offer_when_its_room_ended_stays_cancelled_after_a_restart(
    rule: EngineBench,
) -> None:
    rule.worker("w")
    rule.room_starts()
    job = rule.job_of()
    assert rule.offered(job) == "w"
    rule.room_finishes()
    rule.restart()
    rule.worker("w2")
    rule.pass_time(100)
    assert rule.state(job).phase is JobPhase.CANCELLED
    assert "w2" not in rule.offers(job)


def test_what_was_on_offer_when_its_participant_left_stays_cancelled_after_a_restart(
    bench: EngineBench,
) -> None:
    bench.worker("w", types=ALL_TYPES)
    bench.rule(job_type=JobType.PARTICIPANT)
    bench.joins("ann")
    bench.joins("bob")
    gone, stays = bench.jobs_of()
    bench.leaves("ann")
    bench.restart()
    bench.worker("w2", types=ALL_TYPES)
    bench.pass_time(100)
    assert bench.state(gone).phase is JobPhase.CANCELLED
    assert "w2" not in bench.offers(gone)
    assert "w2" in bench.offers(stays)


def test_jobs_of_calls_end_with_their_room_if_it_was_seen(bench: EngineBench) -> None:
    bench.worker("w")
    bench.room_starts()
    job = bench.running()
    bench.room_finishes()
    state = bench.state(job)
    assert (state.phase, state.reason) == (JobPhase.CANCELLED, ROOM_CLOSED)
    assert bench.stops("w") == [job]


def test_a_list_ends_no_job_whose_room_was_never_seen(bench: EngineBench) -> None:
    bench.worker("w")
    outbound = bench.running("outbound")
    waiting = bench.dispatch("later", agent="nobody")
    bench.pass_time(60)
    bench.lists_rooms()
    assert bench.phase(outbound) is JobPhase.RUNNING
    assert bench.phase(waiting) is JobPhase.QUEUED

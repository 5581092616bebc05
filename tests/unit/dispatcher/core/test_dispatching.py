"""Orders and how they are called off: creation, repeats, simulation, deletion and its races."""

from __future__ import annotations

import pytest

from dispatcher.core.effects import (
    FinishDeletion,
    Outcome,
    SendAssignment,
    SendOffer,
    SendTermination,
)
from dispatcher.core.jobs import JobStateReason, JobStatus, JobType
from dispatcher.core.lifecycle import JobPhase
from dispatcher.core.policy import Policy
from tests.support.engine_bench import PROJECT, EngineBench
from tests.unit.dispatcher.core.board_checks import board_of, check_lanes, watched


def is_finished(bench: EngineBench, dispatch_id: str) -> bool:
    """Has the dispatch's `deleted_at` been set?"""
    stored = bench.database.get_dispatch(PROJECT, dispatch_id)
    assert stored is not None
    assert bool(stored.dispatch.deleted_at) <= bool(stored.dispatch.deletion_requested_at)
    return bool(stored.dispatch.deleted_at)


def assert_deleted(bench: EngineBench, job: str, dispatch_id: str = "AD_room") -> None:
    """The job was cancelled because its dispatch was deleted, and the deletion is finished."""
    state = bench.state(job)
    assert state.phase is JobPhase.CANCELLED
    assert state.reason is JobStateReason.DISPATCH_DELETED
    assert is_finished(bench, dispatch_id)
    assert not board_of(bench.engine).deletions
    check_lanes(bench)


# --- creation ---


def test_a_dispatch_is_acknowledged_only_after_it_is_durable(bench: EngineBench) -> None:
    bench.holds_commits = True
    call = bench.request("AD_1", bench.new_job(dispatch_id="AD_1"))
    assert bench.outcome(call) is None
    bench.commit()
    assert bench.outcome(call) is Outcome.CREATED


def test_a_new_job_is_offered_while_the_store_still_commits_it(bench: EngineBench) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    assert bench.offered(job) == "a"
    bench.commit()
    assert bench.state(job).phase is JobPhase.OFFERED
    assert bench.state(job).worker_id == "a"


def test_one_dispatch_may_make_several_jobs(bench: EngineBench) -> None:
    bench.worker("a", types=(JobType.ROOM, JobType.PUBLISHER))
    jobs = [bench.new_job(dispatch_id="AD_1", job_type=kind) for kind in list(JobType)[:2]]
    bench.request("AD_1", *jobs)
    assert [bench.offered(job.id) for job in jobs] == ["a", "a"]


def test_jobs_of_a_dispatch_beyond_the_room_wait(bench: EngineBench) -> None:
    bench.worker("a", capacity=1)
    jobs = [bench.new_job(dispatch_id="AD_1") for _ in range(3)]
    bench.request("AD_1", *jobs)
    assert [bench.offered(job.id) for job in jobs] == ["a", None, None]
    check_lanes(bench)
    bench.accept(jobs[0].id)
    bench.succeed(jobs[0].id)
    assert bench.offered(jobs[1].id) == "a"


def test_a_dispatch_without_a_job_is_kept(bench: EngineBench) -> None:
    call = bench.request("AD_1")
    assert bench.outcome(call) is Outcome.CREATED
    assert bench.database.get_dispatch(PROJECT, "AD_1") is not None


# --- repeats ---


def test_a_repeated_dispatch_makes_nothing_new(bench: EngineBench) -> None:
    job = bench.dispatch(dispatch_id="AD_1")
    again = bench.new_job(dispatch_id="AD_1")
    call = bench.request("AD_1", again)
    assert bench.outcome(call) is Outcome.EXISTED
    assert bench.stored(again.id) is None
    bench.worker("a")
    assert [message.job.id for message in bench.of(SendOffer)] == [job]


def test_a_repeated_dispatch_voids_the_offer_that_was_made_for_it(bench: EngineBench) -> None:
    bench.worker("a", capacity=2)
    bench.dispatch(dispatch_id="AD_1")
    again = bench.new_job(dispatch_id="AD_1")
    bench.request("AD_1", again)
    assert again.id not in bench.engine.jobs
    assert bench.offered(bench.dispatch("next")) == "a"


@pytest.mark.parametrize("answer", ["accept", "decline", "terminate", "lose"])
def test_whatever_a_worker_says_to_an_offer_that_was_void_nothing_is_assigned(
    bench: EngineBench, answer: str
) -> None:
    bench.worker("a")
    first = bench.dispatch(dispatch_id="AD_1")
    bench.accept(first)
    bench.holds_commits = True
    again = bench.new_job(dispatch_id="AD_1")
    bench.request("AD_1", again)
    if answer == "lose":
        bench.lose("a")
    else:
        getattr(bench, answer)(again.id)
    bench.release_commits()
    assert [message.job.id for message in bench.of(SendAssignment)] == [first]
    assert again.id not in bench.engine.jobs
    assert bench.stored(again.id) is None


def test_a_late_acceptance_of_an_offer_that_was_void_assigns_nothing(bench: EngineBench) -> None:
    bench.worker("a")
    first = bench.dispatch(dispatch_id="AD_1")
    bench.accept(first)
    bench.holds_commits = True
    again = bench.new_job(dispatch_id="AD_1")
    bench.request("AD_1", again)
    bench.worker("b")
    bench.pass_time(10)  # the store is slow, and so is the worker
    bench.accept(again.id, worker="a")
    bench.decline(again.id, worker="b")
    bench.release_commits()
    assert [message.job.id for message in bench.of(SendAssignment)] == [first]


def test_an_acceptance_that_is_quicker_than_the_store_counts(bench: EngineBench) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    bench.accept(job)
    assert not bench.assignments(job)
    bench.release_commits()
    assert len(bench.assignments(job)) == 1
    assert bench.phase(job) is JobPhase.ASSIGNED


def test_a_slow_store_is_not_held_against_the_worker_that_accepted(bench: EngineBench) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    bench.accept(job)
    bench.pass_time(10)
    bench.release_commits()
    assert bench.offered(job) == "a"


def test_a_repeated_dispatch_to_an_agent_without_workers_leaves_nothing_behind(
    bench: EngineBench,
) -> None:
    for _ in range(3):
        bench.dispatch(dispatch_id="AD_1", queue_seconds=1)
    bench.pass_time(2)
    assert not bench.engine.lanes


# --- simulation ---


def test_a_simulated_job_is_offered_to_the_worker_that_asked_for_it(bench: EngineBench) -> None:
    bench.worker("a")
    bench.worker("b")
    jobs = [bench.simulate(worker) for worker in "abab"]
    assert [bench.offered(job) for job in jobs] == ["a", "b", "a", "b"]
    bench.accept(jobs[0])
    bench.succeed(jobs[0])
    assert bench.phase(jobs[0]) is JobPhase.SUCCEEDED


def test_a_simulated_job_of_a_full_worker_waits(bench: EngineBench) -> None:
    bench.worker("a")
    bench.report("a", full=True)
    job = bench.simulate("a")
    assert bench.phase(job) is JobPhase.QUEUED
    bench.report("a")
    assert bench.offered(job) == "a"


def test_a_simulation_for_nobody_makes_no_job(bench: EngineBench) -> None:
    job = bench.simulate("nobody")
    assert bench.stored(job) is None


# --- deletion, phase by phase ---


def test_a_deletion_is_acknowledged_only_after_it_is_durable(bench: EngineBench) -> None:
    bench.dispatch()
    bench.holds_commits = True
    call = bench.delete("AD_room")
    assert bench.outcome(call) is None
    bench.commit()
    assert bench.outcome(call) is Outcome.DELETED


def test_deleting_a_dispatch_cancels_its_queued_job(bench: EngineBench) -> None:
    job = bench.dispatch()
    bench.delete("AD_room")
    assert_deleted(bench, job)
    bench.worker("a")
    assert not bench.of(SendOffer)


@pytest.mark.parametrize("answer", ["accept", "decline"])
def test_deleting_a_dispatch_lets_its_offer_be_answered_and_cancels_the_job(
    bench: EngineBench, answer: str
) -> None:
    bench.worker("a")
    bench.worker("b")
    job = bench.dispatch()
    call = bench.delete("AD_room")
    assert bench.outcome(call) is Outcome.DELETED
    assert not is_finished(bench, "AD_room")
    getattr(bench, answer)(job)
    assert_deleted(bench, job)
    assert not bench.of(SendAssignment)
    assert len(bench.offers(job)) == 1


def test_who_accepts_a_deleted_job_is_asked_for_the_next_at_once(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.delete("AD_room")
    bench.accept(job)
    assert bench.offered(bench.dispatch("next")) == "a"


def test_deleting_a_dispatch_whose_offer_is_never_answered_ends_with_the_offer(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.delete("AD_room")
    bench.pass_time(10)
    assert_deleted(bench, job)


@pytest.mark.parametrize("started", [True, False])
def test_deleting_a_dispatch_terminates_its_running_job(bench: EngineBench, started: bool) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.accept(job)
    if started:
        bench.start(job)
    bench.delete("AD_room")
    assert bench.of(SendTermination) == [SendTermination("a", job)]
    assert_deleted(bench, job)


def test_deleting_a_dispatch_cancels_its_orphan(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.lose("a")
    bench.delete("AD_room")
    assert_deleted(bench, job)
    bench.pass_time(30)
    assert bench.phase(job) is JobPhase.CANCELLED


def test_deleting_a_dispatch_cancels_its_retry(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    bench.delete("AD_room")
    assert_deleted(bench, job)
    bench.pass_time(30)
    assert bench.offered(job) is None


def test_deleting_a_dispatch_whose_job_has_ended_changes_no_job(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    bench.succeed(job)
    call = bench.delete("AD_room")
    assert bench.outcome(call) is Outcome.DELETED
    assert bench.phase(job) is JobPhase.SUCCEEDED
    assert is_finished(bench, "AD_room")


# --- deletion: races ---


def test_a_job_that_is_being_fetched_when_its_dispatch_is_deleted_is_cancelled(
    bench: EngineBench,
) -> None:
    job = bench.dispatch()
    bench.holds_commits = True
    bench.worker("a")  # the claim is in flight
    bench.delete("AD_room")
    bench.release_commits()
    assert_deleted(bench, job)
    assert not bench.of(SendOffer)


def test_an_offer_declined_before_the_deletion_is_durable_is_cancelled_too(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.holds_commits = True
    bench.delete("AD_room")
    bench.decline(job)
    bench.release_commits()
    assert_deleted(bench, job)


def test_a_job_that_fails_while_its_dispatch_is_deleted_is_not_tried_again(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.holds_commits = True
    bench.delete("AD_room")
    bench.job_status(job, JobStatus.FAILED, worker="a")
    bench.release_commits()
    assert_deleted(bench, job)


def test_a_retry_that_comes_due_while_its_dispatch_is_deleted_is_cancelled(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.fail(job)
    bench.holds_commits = True
    bench.pass_time(1)  # the retry is being fetched
    bench.delete("AD_room")
    bench.release_commits()
    assert_deleted(bench, job)


def test_a_deletion_of_a_dispatch_that_is_still_being_created_cancels_it(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    bench.holds_commits = True
    job = bench.dispatch()
    bench.accept(job)
    call = bench.delete("AD_room")
    bench.release_commits()
    assert bench.outcome(call) is Outcome.DELETED
    assert bench.stops("a") == [job]
    bench.job_status(job, JobStatus.CANCELLED, worker="a")
    assert_deleted(bench, job)


@pytest.mark.parametrize("room", ["other", ""])
def test_a_deletion_that_names_another_room_deletes_nothing(bench: EngineBench, room: str) -> None:
    bench.worker("a")
    job = bench.running()
    call = bench.delete("AD_room", room=room)
    assert bench.outcome(call) is Outcome.NOT_FOUND
    assert bench.holder(job) == "a"
    assert not board_of(bench.engine).deletions


def test_a_deletion_by_another_project_deletes_nothing(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.running()
    call = bench.delete("AD_room", project="other")
    assert bench.outcome(call) is Outcome.NOT_FOUND
    assert bench.holder(job) == "a"


def test_a_deletion_of_an_unknown_dispatch_is_answered_as_not_found(bench: EngineBench) -> None:
    assert bench.outcome(bench.delete("AD_none")) is Outcome.NOT_FOUND


def test_a_dispatch_that_is_deleted_twice_is_deleted_once(bench: EngineBench) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.holds_commits = True
    first, second = bench.delete("AD_room"), bench.delete("AD_room")
    bench.release_commits()
    third = bench.delete("AD_room")
    bench.accept(job)
    assert [bench.outcome(call) for call in (first, second, third)] == [
        Outcome.DELETED,
        Outcome.NOT_FOUND,
        Outcome.NOT_FOUND,
    ]
    assert_deleted(bench, job)
    finished = [r for batch in bench.batches for r in batch if isinstance(r, FinishDeletion)]
    assert len(finished) == 1


@pytest.mark.parametrize("wrong_first", [True, False])
@pytest.mark.parametrize("answer", ["accept", "decline"])
def test_a_deletion_for_the_wrong_room_at_the_same_time_changes_nothing_of_the_right_one(
    bench: EngineBench, wrong_first: bool, answer: str
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.holds_commits = True
    rooms = ["other", "room"] if wrong_first else ["room", "other"]
    calls = {room: bench.delete("AD_room", room=room) for room in rooms}
    getattr(bench, answer)(job)
    bench.release_commits()
    assert bench.outcome(calls["room"]) is Outcome.DELETED
    assert bench.outcome(calls["other"]) is Outcome.NOT_FOUND
    assert_deleted(bench, job)


def test_a_deletion_that_was_not_finished_is_finished_after_a_restart(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.running()
    bench.holds_commits = True
    bench.delete("AD_room")
    bench.commit()  # the deletion is durable, the job's end is not
    bench.restart()
    assert_deleted(bench, job)
    bench.connect("a2")
    assert bench.claim("a2", job)[job].name == "STOP_ENDED"


def test_a_job_on_offer_when_its_dispatch_was_deleted_is_cancelled_after_a_restart(
    bench: EngineBench,
) -> None:
    bench.worker("a")
    job = bench.dispatch()
    bench.delete("AD_room")
    assert bench.offered(job) == "a"
    bench.restart()
    bench.worker("b")
    assert bench.offered(job) is None
    assert_deleted(bench, job)


# --- what is due ---


def test_more_jobs_than_one_look_takes_end_at_their_deadline_all_the_same() -> None:
    bench = EngineBench(Policy(due_max=3), watch=watched)
    jobs = [bench.dispatch(f"r{n}", queue_seconds=5) for n in range(10)]
    bench.pass_time(5)
    assert {bench.phase(job) for job in jobs} == {JobPhase.FAILED}


def test_a_shorter_deadline_that_comes_later_is_kept(bench: EngineBench) -> None:
    long = bench.dispatch("long", queue_seconds=100)
    short = bench.dispatch("short", queue_seconds=1)
    bench.pass_time(1)
    assert (bench.phase(short), bench.phase(long)) == (JobPhase.FAILED, JobPhase.QUEUED)
    bench.pass_time(99)
    assert bench.phase(long) is JobPhase.FAILED
